// One batch on its way through a graph and, after it, its gradient: the tensors that live now, freed after their last use.
// Each phase is one tidy scope, so that one that fails leaves nothing behind.
import type { Tensor as TfTensor } from "@tensorflow/tfjs-core"
import type { Batch } from "../Batch.ts"
import { endings, type Graph, type Input, type Node, type Value, valuesOf } from "../Graph.ts"
import { tableOf } from "../reference/run.ts"
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
  const kept = new Map<object, Map<string, TfTensor>>()
  for (const input of graph.inputs) {
    if (input.source.kind === "batch") lent.set(input, ints(batch[input.source.field]))
    if (input.source.kind === "table") lent.set(input, tables.of(input, sizes.P))
  }
  const get = (value: Value): Tensor => {
    const tensor = environment.get(value) ?? lent.get(value)
    if (tensor === undefined) throw new Error(`${value.name} has no value`)
    return tensor
  }
  const once: Context["once"] = (of, key, make) => {
    const things = kept.get(of) ?? new Map<string, TfTensor>()
    kept.set(of, things)
    const made = things.get(key) ?? tf.keep(tf.tidy(make))
    things.set(key, made)
    return made
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
      for (const things of kept.values()) tf.dispose([...things.values()])
      kept.clear()
    }
  }
}

/** The rotary tables, made for as many positions as were met. */
export interface Tables {
  readonly of: (input: Input, positions: number) => Tensor
  readonly close: () => void
}

export const rotaryTables = (tf: Tf): Tables => {
  const made = new Map<Input, Tensor>()
  return {
    of: (input, positions) => {
      const { source } = input
      if (source.kind !== "table") throw new Error(`${input.name} is no table`)
      const known = made.get(input)
      if (known !== undefined && known.shape[0]! >= positions) return known
      const count = Math.max(positions, 2 * (known?.shape[0] ?? 0))
      const data = Float32Array.from(tableOf(source, count))
      const tensor = floats(tf.tensor2d(data, [count, source.frequencies.length]))
      tf.dispose([...known?.held ?? []])
      made.set(input, tensor)
      return tensor
    },
    close: () => {
      for (const { held } of made.values()) tf.dispose([...held])
      made.clear()
    }
  }
}
