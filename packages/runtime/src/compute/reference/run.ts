// Interprets a graph by the reference kernels, freeing each tensor after its last use.
import { endings, type Graph, type Input, type Value } from "../Graph.ts"
import { kernels } from "../operations/kernels.ts"
import type { Sizes } from "../sizes.ts"
import type { Tensor } from "./Tensor.ts"

/** Tensors by value. */
export type Environment = Map<Value, Tensor>

/** Runs the nodes in order, adding to `environment`, which at the end holds what it held before and what `keep` names. */
export const run = (graph: Graph, environment: Environment, keep: ReadonlyArray<Value>, sizes: Sizes): void => {
  const kept = new Set<Value>([...environment.keys(), ...keep])
  const ending = endings(graph.nodes, kept)
  for (const node of graph.nodes) {
    const kernel = kernels[node.operation] as (
      inputs: object,
      attributes: object,
      sizes: Sizes
    ) => Record<string, Tensor>
    const inputs = Object.fromEntries(
      Object.entries(node.inputs as Readonly<Record<string, Value | undefined>>).flatMap(([name, value]) => {
        if (value === undefined) return []
        const tensor = environment.get(value)
        if (tensor === undefined) throw new Error(`${node.operation}: ${value.name} has no value`)
        return [[name, tensor]]
      })
    )
    const outputs = kernel(inputs, node.attributes, sizes)
    for (const [name, value] of Object.entries(node.outputs as Readonly<Record<string, Value>>)) {
      environment.set(value, outputs[name]!)
    }
    for (const value of ending.get(node)!) environment.delete(value)
  }
}

/** The rotary table that an input declares, for positions [0, count). */
export const tableOf = (source: Extract<Input["source"], { kind: "table" }>, count: number): Float64Array => {
  const width = source.frequencies.length
  const wave = source.wave === "cos" ? Math.cos : Math.sin
  return Float64Array.from(
    { length: count * width },
    (_, i) => source.scale * wave(Math.floor(i / width) * source.frequencies[i % width]!)
  )
}
