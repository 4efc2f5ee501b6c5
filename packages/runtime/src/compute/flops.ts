// Floating-point operations of a training run, counted on the graph: matrix products and attention, as the literature does.
// Recomputation is no useful work and is left out, so that a utilisation is one of the model's own operations.
import type { Planned } from "./footprint.ts"
import { type Graph, type Node, type Value, valuesOf } from "./Graph.ts"
import { askingOf, type Load } from "./load.ts"
import { elementsOf, sizeOf } from "./sizes.ts"

/** `read` are the values that anything asks for: a gradient that nobody wants is not computed. */
const flopsOf = (node: Node, { seen, sizes }: Load, read: ReadonlySet<Value>): number => {
  const size = (shape: Value["shape"]): number => elementsOf(shape, sizes)
  switch (node.operation) {
    case "mm": {
      const { a, b } = node.inputs
      const inner = sizeOf(a.shape[node.attributes.transA ? 0 : 1]!, sizes)
      return 2 * size(a.shape) * size(b.shape) / inner
    }
    case "tokenLogProb":
    case "tokenLogProbBackward": {
      const product = 2 * sizeOf(node.inputs.hidden.shape[0]!, sizes) * size(node.inputs.head.shape)
      if (node.operation === "tokenLogProb") return product
      return product * valuesOf(node.outputs).filter((gradient) => read.has(gradient)).length
    }
    case "attention":
    case "attentionBackward":
      return (node.operation === "attention" ? 4 : 8) * node.attributes.heads * node.attributes.headDim *
        seen[askingOf(node)]
    default:
      return 0
  }
}

const graphFlops = ({ nodes, outputs }: Graph, load: Load): number => {
  const read = new Set<Value>([...outputs, ...nodes.flatMap((node) => valuesOf(node.inputs))])
  return nodes.reduce((sum, node) => sum + flopsOf(node, load, read), 0)
}

/** Forward and backward: three forwards where everything is trained. */
export const trainingFlops = ({ forward, plain }: Pick<Planned, "forward" | "plain">, load: Load): number =>
  graphFlops(forward, load) + graphFlops(plain.graph, load)

/** Dense peaks without sparsity, in operations per second, by a part of the device's name; the longest that fits counts. */
const peaks: ReadonlyArray<readonly [name: string, bfloat16: number, float32: number]> = [
  ["A100", 312e12, 19.5e12],
  ["H100", 989e12, 67e12],
  ["H100 PCIe", 756e12, 51e12],
  ["H100 NVL", 835e12, 60e12],
  ["H200", 989e12, 67e12],
  ["L40S", 362e12, 91.6e12],
  ["RTX 4090", 165e12, 82.6e12]
]

/** Undefined for a device that nobody has listed, and for a precision without a peak: a utilisation is never invented. */
export const peakOf = (device: string, compute: string): number | undefined => {
  const found = peaks.filter(([name]) => device.includes(name)).toSorted(([a], [b]) => b.length - a.length)[0]
  return compute === "bfloat16" ? found?.[1] : compute === "float32" ? found?.[2] : undefined
}
