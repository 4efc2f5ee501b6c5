// Softmax attention within groups of one prompt P and its branches B_i, over packed rows: the blocks are (P | P) and
// (B_i | P B_i), queries before the bar, keys after it, each causal to the bottom right: with q queries and k keys,
// query j sees the first k - q + j + 1 keys. Keys of a block stand in position order without gaps.
// The prompt's rows come once, so the gradients of its keys and values sum over all blocks of the group.
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
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

/**
 * Walks the blocks query row by query row. Query row `query` sees the `prompt` rows from `start`, then `own` rows from `branch`;
 * `saved` is where its probabilities lie, heads one after the other.
 */
export const eachQuery = (
  segments: Int32Array,
  groups: number,
  heads: number,
  visit: (query: number, start: number, prompt: number, branch: number, own: number, saved: number) => void
): number => {
  const perGroup = segments.length / groups
  let row = 0
  let saved = 0
  for (let g = 0; g < groups; g++) {
    const start = row
    for (let s = 0; s < perGroup; s++) {
      const prompt = s === 0 ? 0 : segments[g * perGroup]!
      const branch = row
      for (let own = 1; own <= segments[g * perGroup + s]!; own++) {
        visit(row++, start, prompt, branch, own, saved)
        saved += heads * (prompt + own)
      }
    }
  }
  return saved
}

export const kernel: Kernel<"attention"> = ({ k, q, segments, v }, { headDim, heads, kvHeads, scale }, { G }) => {
  const y = floats(q.shape)
  const saved = floats([eachQuery(segments.ints, G, heads, () => {})])
  const wide = heads * headDim
  const narrow = kvHeads * headDim
  const p = saved.data
  eachQuery(segments.ints, G, heads, (query, start, prompt, branch, own, at) => {
    const seen = prompt + own
    for (let h = 0; h < heads; h++) {
      const mine = query * wide + h * headDim
      const theirs = Math.floor(h * kvHeads / heads) * headDim
      const first = at + h * seen
      let top = -Infinity
      for (let j = 0; j < seen; j++) {
        const key = (j < prompt ? start + j : branch + j - prompt) * narrow + theirs
        let score = 0
        for (let d = 0; d < headDim; d++) score += q.data[mine + d]! * k.data[key + d]!
        score *= scale
        p[first + j] = score
        if (score > top) top = score
      }
      let total = 0
      for (let j = 0; j < seen; j++) {
        const e = Math.exp(p[first + j]! - top)
        p[first + j] = e
        total += e
      }
      for (let j = 0; j < seen; j++) {
        const key = (j < prompt ? start + j : branch + j - prompt) * narrow + theirs
        const weight = p[first + j]! / total
        p[first + j] = weight
        for (let d = 0; d < headDim; d++) y.data[mine + d] = y.data[mine + d]! + weight * v.data[key + d]!
      }
    }
  })
  return { y, saved }
}
