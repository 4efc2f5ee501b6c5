// Reverse-mode differentiation: a graph, one of its values and the gradient of that value -> the graph of the gradients.
import { type Builder, builder, type Graph, type Node, type OperationName, type Value, valuesOf } from "./Graph.ts"
import { gradients } from "./operations/gradients.ts"
import type { Tape } from "./operations/rule.ts"

export interface Gradient {
  /**
   * Outputs are the gradients, in the order of the wants. Its nodes also read values that the forward graph made: an engine
   * that runs forward and backward together appends the nodes, one that runs them apart carries `saved` across.
   */
  readonly graph: Graph
  /** Values made by the forward graph's nodes that the gradient reads; the engine keeps them between the two runs. */
  readonly saved: ReadonlyArray<Value>
}

/** What the graph's nodes make. */
export const madeBy = (graph: Graph): ReadonlySet<Value> =>
  new Set(graph.nodes.flatMap((node) => valuesOf(node.outputs)))

/** What a graph's nodes and outputs read, once each. */
export const readFrom = (graph: Graph): ReadonlyArray<Value> => [
  ...new Set([...graph.nodes.flatMap((node) => valuesOf(node.inputs)), ...graph.outputs])
]

/** What lies downstream of the wants. */
const downstream = (graph: Graph, wants: ReadonlyArray<Value>): ReadonlySet<Value> => {
  const reached = new Set(wants)
  for (const node of graph.nodes) {
    if (!valuesOf(node.inputs).some((value) => reached.has(value))) continue
    for (const value of valuesOf(node.outputs)) reached.add(value)
  }
  return reached
}

/**
 * The gradients of sum(output * cotangent) for the wants, values of the graph. `cotangent` has the shape of `output`;
 * by default it is an input of the new graph. A want that `output` does not depend on is a defect.
 */
export const gradient = (
  graph: Graph,
  output: Value,
  wants: ReadonlyArray<Value>,
  cotangent?: Value
): Gradient => {
  const build = builder(graph)
  const wanted = downstream(graph, wants)
  const sums = new Map<Value, Value>([[output, cotangent ?? build.cotangent(output.shape)]])
  const fold: Tape<OperationName>["fold"] = (value, make) => {
    if (wanted.has(value)) sums.set(value, make(sums.get(value)))
  }
  const sum: Tape<OperationName>["sum"] = (value, addend) =>
    fold(
      value,
      (accumulator) => accumulator === undefined ? addend : build.emit("add", { a: accumulator, b: addend }, {}).y
    )
  for (const node of graph.nodes.toReversed()) {
    const cotangents = Object.fromEntries(
      Object.entries(node.outputs).flatMap(([name, value]) => sums.has(value) ? [[name, sums.get(value)!]] : [])
    )
    if (Object.keys(cotangents).length === 0 || !valuesOf(node.inputs).some((value) => wanted.has(value))) continue
    differentiate(node, { cotangents, build, wanted: (value) => wanted.has(value), fold, sum })
  }
  const outputs = wants.map((value) => {
    const found = sums.get(value)
    if (found === undefined) throw new Error(`${output.name} does not depend on ${value.name}`)
    return found
  })
  const backward = build.finish(outputs)
  const made = madeBy(graph)
  return { graph: backward, saved: readFrom(backward).filter((value) => made.has(value)) }
}

type Rest = Omit<Tape<OperationName>, "node" | "cotangents"> & { readonly cotangents: object; readonly build: Builder }

const differentiate = (node: Node, rest: Rest): void => {
  const rule = gradients[node.operation] as ((tape: object) => void) | "none"
  if (rule === "none") throw new Error(`${node.operation} is not differentiated twice`)
  rule({ node, ...rest })
}
