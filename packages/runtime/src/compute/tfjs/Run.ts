// One batch on its way through a graph and, after it, its gradient: the tensors that live now, freed after their last use.
// Each phase is one tidy scope, so that one that fails leaves nothing behind.
import type { Tensor as TfTensor } from "@tensorflow/tfjs-core"
import type { Batch } from "../Batch.ts"
import { endings, type Graph, type Input, type Node, type Value, valuesOf } from "../Graph.ts"
import { memo } from "../memo.ts"
import { type RotaryTables, rotaryTables } from "../rotaryTables.ts"
import { sizesOf } from "../sizes.ts"
import { type Context, floats, ints, type Tensor, type Tf } from "./Lowering.ts"
import { lowerings } from "./lowerings.ts"

export interface Run {
  /** Runs the nodes, freeing what it held at its last use, and then holds what `keep` names. `made` sees every output before it may be freed. */
  readonly through: (graph: Graph, keep: ReadonlyArray<Value>, made?: (value: Value, tensor: TfTensor) => void) => void
  readonly setCotangent: (input: Input, coefficients: Float64Array) => void
  /** The one float that is read back. */
  readonly read: (value: Value) => Float64Array
  /** Frees everything. */
  readonly close: () => void
}

/** `weights` and the tensors of `tables` are lent for as long as the run lives. */
export const startRun = (
  tf: Tf,
  graph: Graph,
  batch: Batch,
  weights: ReadonlyMap<Value, Tensor>,
  tables: Tables
): Run => {
  const sizes = sizesOf(batch)
  const lent = new Map<Value, Tensor>(weights)
  const environment = new Map<Value, Tensor>()
  const { clear, once } = memo<TfTensor>((make) => tf.keep(tf.tidy(make)))
  for (const input of graph.inputs) {
    if (input.source.kind === "batch") lent.set(input, ints(batch[input.source.field]))
    if (input.source.kind === "table") lent.set(input, tables.of(input, sizes.P))
  }
  const get = (value: Value): Tensor => {
    const tensor = environment.get(value) ?? lent.get(value)
    if (tensor === undefined) throw new Error(`${value.name} has no value`)
    return tensor
  }
  const index: Context["index"] = (elements) =>
    once(elements, "index", () => tf.tensor2d(elements, [elements.length, 1], "int32"))
  const context: Context = { tf, sizes, index, once }

  const lower = (node: Node): void => {
    const lowering = lowerings[node.operation] as (
      inputs: object,
      attributes: object,
      context: Context
    ) => Readonly<Record<string, Tensor>>
    const taken = Object.fromEntries(
      Object.entries(node.inputs as Readonly<Record<string, Value | undefined>>).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, get(value)]]
      )
    )
    tf.tidy(() => {
      const made = lowering(taken, node.attributes, context)
      const values = Object.entries(node.outputs as Readonly<Record<string, Value>>)
      for (const [name, value] of values) environment.set(value, made[name]!)
      return values.map(([name]) => made[name]!.held) as Array<Array<TfTensor>>
    })
  }
  const drop = (value: Value): void => {
    tf.dispose([...environment.get(value)?.held ?? []])
    environment.delete(value)
  }
  return {
    through: (graph, keep, made = () => {}) => {
      const ending = endings(graph.nodes, new Set(keep))
      tf.tidy(() => {
        for (const node of graph.nodes) {
          lower(node)
          for (const value of valuesOf(node.outputs)) {
            const [tensor] = environment.get(value)!.held
            if (tensor !== undefined) made(value, tensor)
          }
          for (const value of ending.get(node)!) if (environment.has(value)) drop(value)
        }
        return Array.from(environment.values(), ({ held }) => held) as Array<Array<TfTensor>>
      })
    },
    setCotangent: (input, coefficients) =>
      void environment.set(input, floats(tf.tensor1d(Float32Array.from(coefficients)))),
    read: (value) => Float64Array.from(get(value).held[0]!.dataSync()),
    close: () => {
      for (const value of environment.keys()) drop(value)
      tf.dispose([...clear()])
    }
  }
}

export type Tables = RotaryTables<Tensor>

export const tablesOf = (tf: Tf): Tables =>
  rotaryTables<Tensor>(
    (values, shape) => floats(tf.tensor2d(Float32Array.from(values), [...shape])),
    ({ held }) => tf.dispose([...held])
  )
