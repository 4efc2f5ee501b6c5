// Softmax attention within groups of one prompt P and its branches B_i, over packed rows: the blocks are (P | P) and
// (B_i | P B_i), queries before the bar, keys after it, each causal to the bottom right: with q queries and k keys,
// query j sees the first k - q + j + 1 keys, with a window the last of them. Keys of a block stand in position order without
// gaps, so that a window is a distance, also across a shared prompt.
// The prompt's rows come once, so the gradients of its keys and values sum over all blocks of the group.
import type { ShapeRule, Value } from "../Graph.ts"
import {
  blocksOf,
  causalSoftmax,
  gather,
  keyPlaces,
  probabilities,
  queryPlaces,
  scatterAdd
} from "../reference/blocks.ts"
import { addProduct, transposed } from "../reference/product.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { check, equal, float, type GradientRule, opaque } from "./rule.ts"

export interface Attention {
  /**
   * q [T, heads * headDim]; k, v [T, kvHeads * headDim]; query head h reads key head floor(h * kvHeads / heads). Or q of the M
   * rows that predict alone: each prompt's last, and the branches'.
   * segments int [S]: rows of prompt, branch 0, branch 1, ... per group, S / G of them in each. A branch may have none.
   */
  readonly inputs: { readonly q: Value; readonly k: Value; readonly v: Value; readonly segments: Value }
  /** y in the shape of q; saved: whatever the engine keeps for the gradient (probabilities, log-sums, nothing). */
  readonly outputs: { readonly y: Value; readonly saved: Value }
  readonly attributes: AttentionAttributes
}
export interface AttentionAttributes {
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  /** Factor on q · k. */
  readonly scale: number
  /** Positions that a query sees, its own included; all before it when absent. */
  readonly window?: number | undefined
  /** Scores become softCap * tanh(score / softCap) before the softmax. */
  readonly softCap?: number | undefined
}

export const shape: ShapeRule<"attention"> = (inputs, { headDim, heads, kvHeads }) => {
  const { k, q, segments, v } = inputs
  const rows = k.shape[0]!
  check(
    heads % kvHeads === 0 && equal(k.shape, [rows, kvHeads * headDim])
      && (equal(q.shape, [rows, heads * headDim]) || equal(q.shape, ["M", heads * headDim]))
      && equal(v.shape, k.shape) && segments.dtype === "int" && equal(segments.shape, ["S"]),
    "attention",
    inputs
  )
  return { y: float(...q.shape), saved: opaque }
}

export const gradient: GradientRule<"attention"> = ({ build, cotangents, node, sum }) => {
  const { attributes, inputs: { k, q, segments, v }, outputs: { saved, y } } = node
  const d = build.emit("attentionBackward", { cotangent: cotangents.y!, y, q, k, v, segments, saved }, attributes)
  sum(q, d.q)
  sum(k, d.k)
  sum(v, d.v)
}

/** `saved` holds the probabilities, block by block. */
export const kernel: Kernel<"attention"> = ({ k, q, segments, v }, attributes, { G }) => {
  const { headDim, kvHeads } = attributes
  const blocks = blocksOf(segments.ints, G, q.shape[0]!)
  const y = floats(q.shape)
  const saved = floats([blocks.reduce((sum, block) => sum + probabilities(block, attributes), 0)])
  let at = 0
  for (const block of blocks) {
    for (let kvHead = 0; kvHead < kvHeads; kvHead++) {
      const asking = queryPlaces(block, kvHead, attributes)
      const seen = keyPlaces(block, kvHead, attributes)
      const [m, n] = [asking.length, seen.length]
      const p = saved.data.subarray(at, at += m * n)
      addProduct(p, gather(q.data, asking, headDim), gather(k.data, seen, headDim), m, n, headDim)
      causalSoftmax(p, block.asks, n, attributes)
      const part = new Float64Array(m * headDim)
      addProduct(part, p, transposed(gather(v.data, seen, headDim), n, headDim), m, headDim, n)
      scatterAdd(part, asking, headDim, y.data)
    }
  }
  return { y, saved }
}
