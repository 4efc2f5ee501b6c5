// Recomputation (checkpointing by block) as a rewrite of a gradient: the forward run keeps the input of each block alone, and
// the backward graph computes the rest of a block again just before it is read. The same operations on the same values,
// so an engine whose class is bitwise gives the same bits.
// Blocks are read off the graph: no family states them, and no engine is asked.
import { type Gradient, madeBy, readFrom } from "./gradient.ts"
import { type Graph, type Input, living, type Node, type Value, valuesOf } from "./Graph.ts"

/** Nodes of one layer: forward nodes [from, to). What they read of earlier nodes is one value, the block's input. */
interface Block {
  readonly from: number
  readonly to: number
}

/** The first number in a Hugging Face tensor name is the layer: "model.layers.3.mlp.up_proj.weight". */
const layerOf = (node: Node): number | undefined => {
  for (const value of valuesOf(node.inputs)) {
    const { source } = value as Partial<Input>
    const found = source?.kind === "weight" ? /\.(\d+)\./.exec(source.tensor) : null
    if (found !== null) return Number(found[1])
  }
  return undefined
}

/** [nodes] whether one value alone leads from the nodes up to each to those after it. */
const cuts = ({ nodes, outputs }: Graph): ReadonlyArray<boolean> => {
  const lastUse = new Map<Value, number>(outputs.map((value) => [value, nodes.length]))
  nodes.forEach((node, i) => {
    for (const value of valuesOf(node.inputs)) if (lastUse.get(value) !== nodes.length) lastUse.set(value, i)
  })
  const open = new Set<Value>()
  return nodes.map((node, i) => {
    for (const value of valuesOf(node.outputs)) if (lastUse.has(value)) open.add(value)
    for (const value of open) if (lastUse.get(value)! <= i) open.delete(value)
    return open.size === 1
  })
}

/** One block per layer, where the graph is one value wide between two layers; layers that are not apart stay together. */
export const blocksOf = (graph: Graph): ReadonlyArray<Block> => {
  const layers = graph.nodes.map(layerOf)
  const cut = cuts(graph)
  const firstCut = (from: number, to: number): number => cut.findIndex((is, i) => is && i >= from && i < to)
  const blocks: Array<Block> = []
  let [layer, last, from] = [undefined as number | undefined, 0, -1]
  const close = (next: number): void => {
    const at = firstCut(last, next)
    if (at < 0) return
    if (from >= 0) blocks.push({ from, to: at + 1 })
    from = at + 1
  }
  layers.forEach((found, i) => {
    if (found === undefined) return
    if (found !== layer) close(i)
    layer = found
    last = i
  })
  if (layer !== undefined) close(graph.nodes.length)
  return blocks
}

const mapped = (record: object, of: (value: Value) => Value): object =>
  Object.fromEntries(
    Object.entries(record).map(([name, value]: [string, Value | undefined]) => [name, value && of(value)])
  )

export interface Recomputing extends Gradient {
  /**
   * Nodes that compute something again, with a gradient that is made right before them: an engine that orders nodes by itself
   * must wait for it, or it computes every block again at once.
   */
  readonly after: ReadonlyMap<Node, Value>
}

/** The same gradients from fewer saved values; `graph` is the forward graph that `gradient` belongs to. */
export const recomputed = (graph: Graph, gradient: Gradient): Recomputing => {
  const blockOf = new Map<Value, Block>()
  for (const block of blocksOf(graph)) {
    const inside = graph.nodes.slice(block.from, block.to)
    // What later nodes read of the block is the next one's input, and stays.
    const read = new Set(graph.nodes.slice(block.to).flatMap((node) => valuesOf(node.inputs)))
    for (const node of inside) {
      for (const value of valuesOf(node.outputs)) if (!read.has(value)) blockOf.set(value, block)
    }
  }
  const again = new Map<Value, Value>()
  const done = new Set<Block>()
  const copyOf = (value: Value): Value => again.get(value) ?? value
  const nodes: Array<Node> = []
  const after = new Map<Node, Value>()
  let latest: Value | undefined
  for (const node of gradient.graph.nodes) {
    for (const value of valuesOf(node.inputs)) {
      const block = blockOf.get(value)
      if (block === undefined || done.has(block)) continue
      done.add(block)
      const wanted = gradient.saved.filter((each) => blockOf.get(each) === block)
      for (const forward of living(graph.nodes.slice(block.from, block.to), wanted)) {
        for (const made of valuesOf(forward.outputs)) again.set(made, { ...made, name: `again ${made.name}` })
        const outputs = mapped(forward.outputs, copyOf)
        const copy = { ...forward, inputs: mapped(forward.inputs, copyOf), outputs } as Node
        nodes.push(copy)
        if (latest !== undefined) after.set(copy, latest)
      }
    }
    nodes.push({ ...node, inputs: mapped(node.inputs, copyOf) } as Node)
    latest = valuesOf(node.outputs).findLast(({ shape }) => shape.length === 2 && shape[0] === "T") ?? latest
  }
  const inputs = new Set(gradient.graph.inputs)
  const known = new Set(graph.inputs)
  for (const value of nodes.flatMap((node) => valuesOf(node.inputs))) {
    if (known.has(value as Input)) inputs.add(value as Input)
  }
  const backward: Graph = { inputs: [...inputs], nodes, outputs: gradient.graph.outputs }
  const made = madeBy(graph)
  return { graph: backward, saved: readFrom(backward).filter((value) => made.has(value)), after }
}
