// Softmax attention within groups of one prompt P and its branches B_i, over packed rows: the blocks are (P | P) and
// (B_i | P B_i), queries before the bar, keys after it, each causal to the bottom right: with q queries and k keys,
// query j sees the first k - q + j + 1 keys. Keys of a block stand in position order without gaps.
// The prompt's rows come once, so the gradients of its keys and values sum over all blocks of the group.
import type { ShapeRule, Value } from "../Graph.ts"
import { check, equal, float, type GradientRule, opaque } from "./rule.ts"

export interface Attention {
  /**
   * q [T, heads * headDim]; k, v [T, kvHeads * headDim]; query head h reads key head floor(h * kvHeads / heads).
   * segments int [S]: rows of prompt, branch 0, branch 1, ... per group, S / G of them in each. A branch may have none.
   */
  readonly inputs: { readonly q: Value; readonly k: Value; readonly v: Value; readonly segments: Value }
  /** y [T, heads * headDim]; saved: whatever the engine keeps for the gradient (probabilities, log-sums, nothing). */
  readonly outputs: { readonly y: Value; readonly saved: Value }
  readonly attributes: AttentionAttributes
}
export interface AttentionAttributes {
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  /** Factor on q · k. */
  readonly scale: number
}

export const shape: ShapeRule<"attention"> = (inputs, { headDim, heads, kvHeads }) => {
  const { k, q, segments, v } = inputs
  const rows = q.shape[0]!
  check(
    heads % kvHeads === 0 && equal(q.shape, [rows, heads * headDim]) && equal(k.shape, [rows, kvHeads * headDim])
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
