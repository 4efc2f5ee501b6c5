// A rewrite of forward graphs for generation: logits of the asked rows in place of log-probabilities of given tokens.
import { builder, type Graph, type NodeOf, type Value } from "../compute/Graph.ts"
import type { Forward } from "../model/Family.ts"

export interface LogitsGraph {
  /** Its one output is the logits [M, vocabulary]. */
  readonly graph: Graph
  readonly logits: Value
  readonly vocabulary: number
}

export const logitsOf = ({ graph }: Forward): LogitsGraph => {
  const node = graph.nodes.find((each): each is NodeOf<"tokenLogProb"> & typeof each =>
    each.operation === "tokenLogProb"
  )
  if (node === undefined) throw new Error("the model's graph ends in no tokenLogProb")
  const { head, hidden } = node.inputs
  const build = builder(graph)
  const { softCap: cap } = node.attributes
  const plain = build.emit("mm", { a: hidden, b: head, accumulator: undefined }, { transA: false, transB: true }).y
  const logits = cap === undefined ? plain : build.emit("softCap", { x: plain }, { cap }).y
  const { nodes } = build.finish([])
  return {
    graph: { ...graph, nodes: [...graph.nodes.filter((each) => each !== node), ...nodes], outputs: [logits] },
    logits,
    vocabulary: head.shape[0] as number
  }
}
