// Formulas compiled to a list of array operations: every distinct subformula is computed once per batch, all rows at a
// time, into a buffer that is kept from batch to batch. Float64. Leaves out what is done with the results (Evaluate.ts).
import { check, type Inputs, type RunningMean, sideInputs, sizeOf } from "./Inputs.ts"
import { binary, unary } from "./Kernels.ts"
import {
  type BinaryTag,
  FormulaError,
  match,
  type Node,
  type NodeOf,
  type Rank,
  rankOf,
  type Side,
  type UnaryTag
} from "./Node.ts"
import { keyOf } from "./Order.ts"

interface Run {
  readonly inputs: Inputs
  readonly state: Record<string, RunningMean>
}
interface Slot {
  readonly node: Node
  readonly rank: Rank
  /** Returns the filled buffer; `out` has room for `size` values. */
  readonly fill: (out: Float64Array, size: number, run: Run) => Float64Array
}

export interface Tape {
  readonly slots: ReadonlyArray<{ readonly node: Node; readonly rank: Rank }>
  /** Which slot holds each of the roots. */
  readonly roots: ReadonlyArray<number>
  /** Computes every slot; returns the state after this batch. */
  readonly run: (inputs: Inputs) => Readonly<Record<string, RunningMean>>
  /** The values of a slot, valid until the next run. */
  readonly read: (slot: number) => Float64Array
}

const lookup = <A>(values: Readonly<Record<string, A>>, name: string, what: string): A => {
  const found = values[name]
  if (found === undefined) throw new FormulaError(`${what} "${name}"`)
  return found
}

/** Row indices in the ascending order of `by`; equal values keep their order. */
const ascending = (by: Float64Array, rows: number): ReadonlyArray<number> =>
  Array.from({ length: rows }, (_, i) => i).toSorted((a, b) => by[a]! - by[b]! || a - b)

/** A node with its rank, to be computed at it; a row value may also be wanted at the rank of a side's tokens. */
export const tape = (
  roots: ReadonlyArray<readonly [Node, Rank]>,
  parameters: Readonly<Record<string, number>>
): Tape => {
  const slots: Array<Slot> = []
  const buffers: Array<Float64Array> = []
  const places = new Map<string, number>()
  const add = (key: string, slot: Slot): number => {
    buffers.push(new Float64Array(0))
    places.set(key, slots.push(slot) - 1)
    return slots.length - 1
  }

  const constant = (value: number): Slot["fill"] => (out, size) => out.fill(value, 0, size)
  const pointwise = (node: NodeOf<UnaryTag>): Slot["fill"] => {
    const kernel = unary[node._tag]
    const x = place(node.of, rankOf(node))
    return (out, size) => {
      const from = buffers[x]!
      for (let i = 0; i < size; i++) out[i] = kernel(from[i]!)
      return out
    }
  }
  const pairwise = (node: NodeOf<BinaryTag>): Slot["fill"] => {
    const kernel = binary[node._tag]
    const rank = rankOf(node)
    const [x, y] = [place(node.left, rank), place(node.right, rank)]
    return (out, size) => {
      const [left, right] = [buffers[x]!, buffers[y]!]
      for (let i = 0; i < size; i++) out[i] = kernel(left[i]!, right[i]!)
      return out
    }
  }
  const total = (x: number, size: number): number => {
    let sum = 0
    for (let i = 0; i < size; i++) sum += buffers[x]![i]!
    return sum
  }

  const instruction = match<Slot["fill"]>({
    Constant: ({ value }) => constant(value),
    Parameter: ({ name }) => constant(lookup(parameters, name, "no value for the parameter")),
    Column: ({ name }) => (_, __, { inputs }) => lookup(inputs.columns ?? {}, name, "the batch has no column"),
    Variable: () => {
      throw new FormulaError("the variable r has no value: replace it with `substitute`")
    },
    LogProb: ({ model, side }) => (_, __, { inputs }) => {
      const found = sideInputs(inputs, side)[model]
      if (found === undefined) throw new FormulaError(`the batch has no ${model} log-probabilities of side "${side}"`)
      return found
    },
    Length: ({ side }) => (out, size, { inputs }) => {
      const { lengths } = sideInputs(inputs, side)
      for (let i = 0; i < size; i++) out[i] = lengths[i]!
      return out
    },
    Negate: pointwise,
    Exp: pointwise,
    Log: pointwise,
    LogSigmoid: pointwise,
    Softplus: pointwise,
    Sigmoid: pointwise,
    Log1mExp: pointwise,
    Relu: pointwise,
    Step: pointwise,
    Detach: pointwise,
    Plus: pairwise,
    Times: pairwise,
    Divide: pairwise,
    Min: pairwise,
    Max: pairwise,
    Sum: ({ of }) => {
      const rank = rankOf(of)
      const side = rank.slice("token:".length) as Side
      const x = place(of, rank)
      return (out, size, { inputs }) => {
        const from = buffers[x]!
        const { lengths } = sideInputs(inputs, side)
        for (let row = 0, t = 0; row < size; row++) {
          let sum = 0
          for (const end = t + lengths[row]!; t < end; t++) sum += from[t]!
          out[row] = sum
        }
        return out
      }
    },
    BatchMean: ({ of }) => {
      const x = place(of, "row")
      return (out, size) => out.fill(total(x, size) / size, 0, size)
    },
    BatchSort: ({ by, of }) => {
      const [x, y] = [place(of, "row"), place(by, "row")]
      return (out, size) => {
        ascending(buffers[y]!, size).forEach((row, i) => (out[i] = buffers[x]![row]!))
        return out
      }
    },
    BatchUnsort: ({ by, of }) => {
      const [x, y] = [place(of, "row"), place(by, "row")]
      return (out, size) => {
        ascending(buffers[y]!, size).forEach((row, i) => (out[row] = buffers[x]![i]!))
        return out
      }
    },
    State: ({ name, of }) => {
      const x = place(of, "row")
      return (out, size, { inputs, state }) => {
        const before = inputs.state?.[name] ?? { mean: 0, count: 0 }
        const count = before.count + size
        const mean = (before.mean * before.count + total(x, size)) / count
        state[name] = { mean, count }
        return out.fill(mean, 0, size)
      }
    }
  })

  /** Repeats each row's value for its tokens. */
  const spread = (x: number, side: Side): Slot["fill"] => (out, _, { inputs }) => {
    const { lengths } = sideInputs(inputs, side)
    for (let row = 0, t = 0; row < inputs.rows; row++) out.fill(buffers[x]![row]!, t, t += lengths[row]!)
    return out
  }
  const place = (node: Node, wanted: Rank): number => {
    const rank = rankOf(node)
    const key = keyOf(node)
    const here = places.get(key) ?? add(key, { node, rank, fill: instruction(node) })
    if (rank === wanted) return here
    const spreadKey = `${wanted} ${key}`
    const fill = spread(here, wanted.slice("token:".length) as Side)
    return places.get(spreadKey) ?? add(spreadKey, { node, rank: wanted, fill })
  }

  const placed = roots.map(([node, rank]) => place(node, rank))
  const sizes = slots.map(() => 0)
  const reserved = slots.map(() => new Float64Array(0))
  return {
    slots,
    roots: placed,
    run: (inputs) => {
      check(inputs)
      const run: Run = { inputs, state: {} }
      slots.forEach(({ fill, rank }, i) => {
        const size = sizeOf(rank, inputs)
        if (reserved[i]!.length < size) reserved[i] = new Float64Array(size)
        buffers[i] = fill(reserved[i]!, size, run)
        sizes[i] = size
      })
      return run.state
    },
    read: (slot) => buffers[slot]!.subarray(0, sizes[slot])
  }
}
