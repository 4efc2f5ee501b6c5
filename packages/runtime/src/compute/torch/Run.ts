// One batch on its way through a graph and, after it, its gradient: the tensors that live now, freed after their last use.
import type { Batch } from "../Batch.ts"
import {
  endings,
  type Graph,
  type Input,
  type Node,
  type NodeOf,
  type Operations,
  type Value,
  valuesOf
} from "../Graph.ts"
import { memo } from "../memo.ts"
import { type RotaryTables, rotaryTables } from "../rotaryTables.ts"
import { sizesOf } from "../sizes.ts"
import { lowerPair } from "./kernels/pairs.ts"
import type { CausalMask, Context, Tensor } from "./Lowering.ts"
import { cotangent, floats, ints, opaque } from "./Lowering.ts"
import type { Handle } from "./native.ts"
import { lowerIn } from "./precision.ts"
import type { Torch } from "./Torch.ts"

export interface Run {
  /** Runs the nodes, freeing what it held at its last use, and then holds what `keep` names. `into`: gradients to add to instead of making them. */
  readonly through: (graph: Graph, keep: ReadonlyArray<Value>, into?: ReadonlyMap<Value, Handle>) => void
  readonly setCotangent: (input: Input, coefficients: Float64Array) => void
  readonly get: (value: Value) => Tensor
  /** Frees everything. */
  readonly close: () => void
}

/** Computes attention in place of its lowering: generation has a cache. */
export type Attend = (
  node: NodeOf<"attention">,
  inputs: Readonly<Record<keyof Operations["attention"]["inputs"], Tensor>>
) => Tensor

/** `weights` and the tensors of `tables` are lent for as long as the run lives. `narrow`: see precision.ts. */
export const startRun = (
  torch: Torch,
  narrow: Torch,
  graph: Graph,
  batch: Batch,
  weights: ReadonlyMap<Value, Tensor>,
  tables: Tables,
  attend?: Attend
): Run => {
  const lower = lowerIn(torch, narrow)
  const sizes = sizesOf(batch)
  const lent = new Map<Value, Tensor>(weights)
  const environment = new Map<Value, Tensor>()
  const { clear, once } = memo<Handle>((make) => torch.scope((keep) => keep(make())))
  for (const input of graph.inputs) {
    if (input.source.kind === "batch") lent.set(input, ints(batch[input.source.field]))
    if (input.source.kind === "table") lent.set(input, tables.of(input, sizes.P))
  }
  const get = (value: Value): Tensor => {
    const tensor = environment.get(value) ?? lent.get(value)
    if (tensor === undefined) throw new Error(`${value.name} has no value`)
    return tensor
  }
  const index: Context["index"] = (elements) => once(elements, "index", () => torch.uploadIndex(elements))

  /** Of these values the tensors that nobody else reads any more. */
  const spareAmong = (values: Iterable<Value>, ending: ReadonlyArray<Value>): Context["spare"] => {
    const spares = new Set(
      [...values].flatMap((value) => environment.has(value) && ending.includes(value) ? [get(value)] : [])
    )
    return (input) => spares.has(input)
  }
  const contextOf = (spare: Context["spare"], into?: Handle): Omit<Context, "torch"> => ({
    sizes,
    index,
    once,
    causal: tables.causal,
    spare,
    into
  })

  const step = (node: Node, ending: ReadonlyArray<Value>, into: ReadonlyMap<Value, Handle>): void => {
    const taken = Object.entries(node.inputs as Readonly<Record<string, Value | undefined>>).flatMap(([name, value]) =>
      value === undefined ? [] : [{ name, value, tensor: get(value) }]
    )
    const spare = spareAmong(taken.map(({ value }) => value), ending)
    const outputs = Object.entries(node.outputs as Readonly<Record<string, Value>>)
    // only a matrix product that sums nothing else yet can sum into a place that exists already
    const summable = node.operation === "mm" && node.inputs.accumulator === undefined
    const place = summable ? into.get(node.outputs.y) : undefined
    torch.scope((keep) => {
      const inputs = Object.fromEntries(taken.map(({ name, tensor }) => [name, tensor]))
      const made = attend !== undefined && node.operation === "attention"
        ? { y: attend(node, inputs as Parameters<Attend>[1]), saved: opaque([]) }
        : lower(node, inputs, contextOf(spare, place))
      for (const [name, value] of outputs) {
        const tensor = made[name]!
        if (place !== undefined) continue
        for (const handle of tensor.handles) keep(handle)
        environment.set(value, tensor)
      }
    })
  }
  /** Both nodes by one kernel; false where there is none for them. */
  const stepPair = (
    first: Node,
    second: Node | undefined,
    ending: (node: Node) => ReadonlyArray<Value>
  ): boolean => {
    if (torch.launcher === undefined || second === undefined) return false
    return torch.scope((keep) => {
      const values = [...valuesOf(first.inputs), ...valuesOf(second.inputs)]
      const spare = spareAmong(values, [...ending(first), ...ending(second)])
      const alone = (value: Value) => ending(second).includes(value)
      const made = lowerPair(first, second, { get, alone, context: { ...contextOf(spare), torch: narrow } })
      for (const [value, tensor] of made ?? []) {
        for (const handle of tensor.handles) keep(handle)
        environment.set(value, tensor)
      }
      return made !== undefined
    })
  }
  const drop = (value: Value): void => {
    torch.free(environment.get(value)?.handles ?? [])
    environment.delete(value)
  }
  return {
    get,
    through: (graph, keep, into = new Map()) => {
      const ending = endings(graph.nodes, new Set(keep))
      let paired = false
      for (const [i, node] of graph.nodes.entries()) {
        // the second of a pair is done with the first, but what ends with either ends here
        if (paired) paired = false
        else if (stepPair(node, graph.nodes[i + 1], (of) => ending.get(of)!)) paired = true
        else step(node, ending.get(node)!, into)
        for (const output of valuesOf(node.outputs)) {
          const target = into.get(output)
          const made = environment.get(output)
          if (target !== undefined && made !== undefined) addTo(torch, target, made)
        }
        for (const value of ending.get(node)!) if (environment.has(value)) drop(value)
      }
    },
    setCotangent: (input, coefficients) => {
      const handle = torch.scope((keep) => keep(torch.upload(coefficients, [coefficients.length])))
      environment.set(input, cotangent(handle, coefficients))
    },
    close: () => {
      for (const value of environment.keys()) drop(value)
      torch.free(clear())
    }
  }
}

const addTo = (torch: Torch, target: Handle, { handles }: Tensor): void =>
  torch.scope(() => torch.native.copy(target, torch.add(target, handles[0]!)))

/** Rotary tables and causal masks, made for as many positions as were met. */
export interface Tables extends RotaryTables<Tensor> {
  readonly causal: Context["causal"]
}

export const tablesOf = (torch: Torch): Tables => {
  const rotary = rotaryTables<Tensor>(
    (values, shape) => floats(torch.scope((keep) => keep(torch.upload(values, shape))), shape),
    ({ handles }) => torch.free(handles)
  )
  const masks = new Map<number, CausalMask>()
  return {
    causal: (shared, keys) => {
      const known = masks.get(shared)
      if (known !== undefined && known.keys >= keys) return known
      const count = Math.max(keys, 128, 2 * (known?.keys ?? 0))
      const mask = new Float32Array(shared * count * count)
      for (let row = 0; row < shared * count; row++) {
        mask.fill(-Infinity, row * count + Math.floor(row / shared) + 1, (row + 1) * count)
      }
      const handle = torch.scope((keep) => keep(torch.upload(mask, [shared * count, count])))
      if (known !== undefined) torch.free([known.handle])
      masks.set(shared, { handle, keys: count })
      return masks.get(shared)!
    },
    of: rotary.of,
    close: () => {
      rotary.close()
      for (const { handle } of masks.values()) torch.free([handle])
      masks.clear()
    }
  }
}
