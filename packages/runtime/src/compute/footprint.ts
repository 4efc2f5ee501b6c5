// What training holds at once, in bytes, computed from the graph: the walk of an engine over forward and backward, counting
// each tensor from the operation that makes it to the last that reads it. No table of families.
// Leaves out libraries' own buffers and the process itself.
import type { Recipe } from "@penchant/dsl/Recipe"
import type { EngineName } from "./backends.ts"
import type { Numerics } from "./Engine.ts"
import { type Gradient, gradient } from "./gradient.ts"
import { endings, type Graph, type Node, type NodeOf, type OperationName, type Value, valuesOf } from "./Graph.ts"
import { askingOf, type Load } from "./load.ts"
import { laneCount } from "./onnx/laneCount.ts"
import type { AttentionAttributes } from "./operations/attention.ts"
import { recomputed } from "./recompute.ts"
import { elementsOf, sizeOf } from "./sizes.ts"
import { widestComposed } from "./torch/attention.ts"

/** Rows that ask, and the keys that they meet. */
interface Asked {
  readonly rows: number
  readonly pairs: number
}

/** How an engine spends memory, where the graph does not say it. Bytes of a float are `f`. */
interface Habits {
  /** Bytes per parameter: weights, gradients, Adam's moments and masters. */
  readonly parameter: Readonly<Record<"weights" | "gradients" | "optimiser", number>>
  readonly float: number
  /** Floats that attention and the head keep for their gradients. */
  readonly attentionKeeps: (of: AttentionAttributes, asked: Asked) => number
  readonly headKeeps: (logits: number, softCap: number | undefined) => number
  /** Floats of logits that the head has in hand at once, and how many such arrays. */
  readonly headChunk: number
  readonly headArrays: number
  /**
   * Resident bytes per byte of live tensors, by the model's parameters, measured by bench/memory.ts: arenas and allocators keep
   * more than is alive.
   */
  readonly spread: (parameters: number) => number
  /** Bytes that a run takes whatever its size, measured as well: what a library makes of a graph. */
  readonly fixed: number
  /** Temporaries of other operations, as a share of their outputs, what they save left out. */
  readonly within: Partial<Record<OperationName, number>>
  /** Of attention besides, in arrays of what it keeps: scores of all blocks at once. */
  readonly attentionHolds: Partial<Record<OperationName, number>>
}

/** One width for all. */
const adam = (width: number): Habits["parameter"] => ({ weights: width, gradients: width, optimiser: 2 * width })

/** Probabilities, or logits; below a soft cap also the tanh that its slope is made of. */
const arrays = (softCap: number | undefined): number => softCap === undefined ? 1 : 2

const habits: { readonly [E in EngineName]: Habits } = {
  // One run computes forward and backward, sums into the gradients in place, and keeps logits and probabilities.
  onnx: {
    parameter: adam(4),
    float: 4,
    attentionKeeps: ({ heads, softCap }, { pairs }) => arrays(softCap) * heads * pairs,
    headKeeps: (logits, softCap) => arrays(softCap) * logits,
    headChunk: Infinity,
    headArrays: 2,
    // each lane has an arena, which grows by doubling
    spread: (parameters) => laneCount(parameters) > 1 ? 1.45 : 1.1,
    fixed: 25e6,
    attentionHolds: { attention: 2, attentionBackward: 3 },
    within: {
      attention: 2,
      attentionBackward: 2,
      geluBackward: 3,
      layerNormBackward: 3,
      rmsNormBackward: 4,
      swigluBackward: 3
    }
  },
  // Gradients of a micro-batch are made beside the sums.
  reference: {
    parameter: { weights: 8, gradients: 16, optimiser: 16 },
    float: 8,
    attentionKeeps: ({ heads }, { pairs }) => heads * pairs,
    headKeeps: (logits) => logits,
    headChunk: Infinity,
    headArrays: 2,
    spread: () => 1,
    fixed: 0,
    attentionHolds: {},
    within: { mm: 1 }
  },
  // Attention keeps probabilities, the head its softmax; XNNPACK packs copies of weights, transposed ones too.
  tfjs: {
    parameter: { weights: 12, gradients: 8, optimiser: 8 },
    float: 4,
    attentionKeeps: ({ heads }, { pairs }) => heads * pairs,
    headKeeps: (logits) => logits,
    headChunk: Infinity,
    headArrays: 3,
    spread: () => 1.2,
    fixed: 0,
    attentionHolds: { attention: 3 },
    within: {
      attention: 3,
      attentionBackward: 3,
      mm: 1,
      rmsNorm: 1,
      rmsNormBackward: 4,
      rope: 3,
      swiglu: 2,
      swigluBackward: 3
    }
  },
  // Composed attention keeps probabilities, flash attention a log-sum per row and head; logits up to a chunk stay, more are made again.
  torch: {
    parameter: adam(4),
    float: 4,
    attentionKeeps: ({ headDim, heads, softCap }, { pairs, rows }) =>
      softCap === undefined && headDim > widestComposed ? heads * rows : arrays(softCap) * heads * pairs,
    headKeeps: (logits) => logits <= 2 ** 28 ? logits : 0,
    headChunk: 2 ** 28,
    headArrays: 2,
    spread: () => 1.05,
    fixed: 0,
    attentionHolds: {},
    within: { attention: 1, attentionBackward: 1, rmsNormBackward: 4, rope: 3, swigluBackward: 0.5 }
  }
}

/** Weights and gradients in 16 bits; the rest of masters and moments in 32; attention is always flash attention. */
const narrowHabits: { readonly [E in EngineName]?: Habits } = {
  torch: {
    ...habits.torch,
    parameter: { weights: 2, gradients: 2, optimiser: 10 },
    float: 2,
    attentionKeeps: ({ heads }, { rows }) => 2 * heads * rows
  }
}

/** Bytes a parameter of what masters keep beside the weights in bfloat16; stochastic rounding has no masters. */
const masterRest = 2

/** What decides how memory is spent. */
export type Spending = Pick<Numerics, "engine"> & Partial<Pick<Recipe, "precision" | "rounding">>

const habitsOf = ({ engine, precision, rounding }: Spending): Habits | undefined => {
  const table = precision === "bfloat16" ? narrowHabits : habits
  const found = Object.hasOwn(table, engine) ? table[engine as EngineName] : undefined
  if (found === undefined || rounding !== "stochastic") return found
  const { optimiser, ...rest } = found.parameter
  return { ...found, parameter: { ...rest, optimiser: optimiser - masterRest } }
}

/** Bytes of every value that takes memory worth counting. */
const bytesOf = (forward: Graph, h: Habits, load: Load) => {
  const opaque = new Map<Value, number>()
  const logits = (node: Extract<Node, { operation: "tokenLogProb" | "tokenLogProbBackward" }>): number =>
    sizeOf(node.inputs.hidden.shape[0]!, load.sizes) * sizeOf(node.inputs.head.shape[0]!, load.sizes)
  const kept = (node: NodeOf<"attention"> | NodeOf<"attentionBackward">): number =>
    h.attentionKeeps(node.attributes, { rows: load.sizes[askingOf(node)], pairs: load.pairs[askingOf(node)] })
  const keeps = (node: Node): number =>
    node.operation === "attention"
      ? kept(node)
      : node.operation === "tokenLogProb"
      ? h.headKeeps(logits(node), node.attributes.softCap)
      : 0
  const note = (graph: Graph): void => {
    for (const node of graph.nodes) {
      for (const value of valuesOf(node.outputs)) if (value.dtype === "opaque") opaque.set(value, keeps(node))
    }
  }
  note(forward)
  const of = (value: Value): number =>
    value.dtype === "int"
      ? 0
      : h.float * (opaque.get(value) ?? elementsOf(value.shape, load.sizes))
  const within = (node: Node): number => {
    if (node.operation === "tokenLogProb" || node.operation === "tokenLogProbBackward") {
      return h.float * h.headArrays * Math.min(logits(node), h.headChunk)
    }
    const { [node.operation]: share = 0 } = h.within
    const { [node.operation]: held = 0 } = h.attentionHolds
    const floats = valuesOf(node.outputs).filter(({ dtype }) => dtype === "float")
    const ofAttention = node.operation === "attention" || node.operation === "attentionBackward"
      ? h.float * held * kept(node)
      : 0
    return share * floats.reduce((sum, value) => sum + of(value), 0) + ofAttention
  }
  return { note, of, within }
}

export interface Footprint {
  readonly weights: number
  readonly gradients: number
  readonly optimiser: number
  /** Held between forward and backward. */
  readonly activations: number
  /** What the busiest moment takes beyond all of that, and what an allocator keeps without use. */
  readonly workspace: number
  readonly total: number
}

/** A model's graphs, each made once, when it is first asked for: a gradient of 80 layers takes a tenth of a second. */
export interface Planned {
  readonly forward: Graph
  readonly plain: Gradient
  readonly sparing: Gradient
  readonly parameters: number
  /** Of the parameters those that have gradients and moments. */
  readonly trained: number
}

export const planned = (
  { graph, logProb, trained, weights }: {
    readonly graph: Graph
    readonly logProb: Value
    readonly weights: ReadonlyArray<Value>
    readonly trained?: ReadonlyArray<Value>
  }
): Planned => {
  let plain: Gradient | undefined
  let sparing: Gradient | undefined
  const wants = trained ?? weights
  const count = (values: ReadonlyArray<Value>) =>
    values.reduce((sum, { shape }) => sum + shape.reduce<number>((n, d) => n * Number(d), 1), 0)
  return {
    forward: graph,
    parameters: count(weights),
    trained: count(wants),
    get plain() {
      return plain ??= gradient(graph, logProb, wants)
    },
    get sparing() {
      return sparing ??= recomputed(graph, this.plain)
    }
  }
}

/** Undefined for an engine whose habits nobody has written down. */
export const footprintOf = (
  graphs: Planned,
  spending: Spending,
  load: Load,
  recompute: boolean
): Footprint | undefined => {
  const h = habitsOf(spending)
  if (h === undefined) return undefined
  const { forward, parameters, trained } = graphs
  const { graph: backward, saved } = recompute ? graphs.sparing : graphs.plain
  const bytes = bytesOf(forward, h, load)
  bytes.note(backward)
  const sums = new Set(backward.outputs)
  const live = new Map<Value, number>()
  let [now, peak] = [0, 0]
  const walk = (graph: Graph, keep: ReadonlySet<Value>): void => {
    const endingAt = endings(graph.nodes, keep)
    for (const node of graph.nodes) {
      const ending = endingAt.get(node)!
      const accumulator = (node.inputs as { readonly accumulator?: Value }).accumulator
      for (const value of valuesOf(node.outputs)) {
        // Gradients of weights are summed where they are; what is added to another's last use takes its place.
        const inPlace = sums.has(value) && node.operation === "mm"
        const reused = accumulator !== undefined && ending.includes(accumulator) && live.has(accumulator)
        const size = inPlace ? 0 : bytes.of(value)
        if (reused) live.set(accumulator, 0)
        live.set(value, size)
        now += reused ? 0 : size
      }
      peak = Math.max(peak, now + bytes.within(node))
      for (const value of ending) {
        now -= live.get(value) ?? 0
        live.delete(value)
      }
    }
  }
  walk(forward, new Set([...forward.outputs, ...saved]))
  const activations = now
  // What the forward run kept is freed by the backward run after its last use.
  walk(backward, new Set())
  const { gradients, optimiser, weights } = h.parameter
  const states = { weights: weights * parameters, gradients: gradients * trained, optimiser: optimiser * trained }
  const held = h.fixed + h.spread(parameters) * peak
  const total = states.weights + states.gradients + states.optimiser + held
  return { ...states, activations, workspace: held - activations, total }
}
