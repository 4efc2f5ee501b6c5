// What the lowering of an operation is given, and how a graph goes through the table of lowerings.
// Leaves out the operations themselves (lowerings.ts, attention.ts) and what is fed and fetched (models.ts, feeds.ts).
import type { Input, Node, NodeOf, OperationName, Value } from "../Graph.ts"
import { lowerings } from "./lowerings.ts"
import type { Program } from "./Program.ts"
import type { Layout } from "./tiles.ts"

export interface Context {
  readonly program: Program
  readonly layout: Layout
  /** The ONNX value of a graph value: an input of the model if nothing has made it. */
  readonly of: (value: Value) => string
  readonly bind: (value: Value, made: string) => void
  /** What an operation keeps for its gradient, of whatever form, under its `saved` value. */
  readonly keep: (saved: Value, kept: unknown) => void
  readonly kept: (saved: Value) => unknown
  /**
   * The running sum that this gradient is to be added to, for a lowering that can start from it at no cost; taking it
   * is a promise to do so. Nothing when there is none, or it is taken already.
   */
  readonly takeSum: (value: Value) => string | undefined
  /** What was made of a cotangent so far that nothing else waits for: a list to add to. */
  readonly taken: (cotangent: Value) => Array<string>
}

export type Lowering<N extends OperationName> = (node: NodeOf<N>, context: Context) => void

const inputName = (value: Value): string => {
  const { source } = value as Input
  return source.kind === "batch" ? source.field : value.name
}

export const contextOf = (
  program: Program,
  layout: Layout,
  sums: Map<Value, string> = new Map()
): Context => {
  const made = new Map<Value, string>()
  const saved = new Map<Value, unknown>()
  const taken = new Map<Value, Array<string>>()
  return {
    program,
    layout,
    of: (value) => {
      const known = made.get(value)
      if (known !== undefined) return known
      if (!("source" in value)) throw new Error(`${value.name} is read before it is made`)
      // Positions index the rotary tables, and that operator wants 64 bits.
      const integer = inputName(value) === "positions" ? "int64" : "int32"
      return program.input(inputName(value), value.dtype === "int" ? integer : "float32")
    },
    bind: (value, name) => void made.set(value, name),
    keep: (value, kept) => void saved.set(value, kept),
    kept: (value) => {
      if (!saved.has(value)) throw new Error(`nothing was kept as ${value.name}`)
      return saved.get(value)
    },
    taken: (cotangent) => {
      const list = taken.get(cotangent) ?? []
      taken.set(cotangent, list)
      return list
    },
    takeSum: (value) => {
      const sum = sums.get(value)
      sums.delete(value)
      return sum
    }
  }
}

export const lower = (nodes: ReadonlyArray<Node>, context: Context): void => {
  for (const node of nodes) (lowerings[node.operation] as (node: Node, context: Context) => void)(node, context)
}
