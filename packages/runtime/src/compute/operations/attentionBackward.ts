// Gradients of `attention`. Per block, with p the probabilities: v = pᵀ c, s = p * (c vᵀ - rowsum(c * y)), q = scale s k,
// k = scale sᵀ q, where c is the cotangent.
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { type AttentionAttributes, eachQuery } from "./attention.ts"
import { check, equal, float, type GradientRule } from "./rule.ts"

export interface AttentionBackward {
  /** cotangent and y [T, heads * headDim]; the rest as in `attention`, and what it saved. */
  readonly inputs: {
    readonly cotangent: Value
    readonly y: Value
    readonly q: Value
    readonly k: Value
    readonly v: Value
    readonly segments: Value
    readonly saved: Value
  }
  /** Gradients, in the shapes of q, k, v. */
  readonly outputs: { readonly q: Value; readonly k: Value; readonly v: Value }
  readonly attributes: AttentionAttributes
}

export const shape: ShapeRule<"attentionBackward"> = (inputs) => {
  const { cotangent, k, q, v, y } = inputs
  check(equal(cotangent.shape, q.shape) && equal(y.shape, q.shape), "attentionBackward", inputs)
  return { q: float(...q.shape), k: float(...k.shape), v: float(...v.shape) }
}

export const gradient: GradientRule<"attentionBackward"> = "none"

export const kernel: Kernel<"attentionBackward"> = (inputs, { headDim, heads, kvHeads, scale }, { G }) => {
  const { cotangent, k, q, saved, segments, v, y } = inputs
  const [dq, dk, dv] = [floats(q.shape), floats(k.shape), floats(v.shape)]
  const wide = heads * headDim
  const narrow = kvHeads * headDim
  const c = cotangent.data
  eachQuery(segments.ints, G, heads, (query, start, prompt, branch, own, at) => {
    const seen = prompt + own
    for (let h = 0; h < heads; h++) {
      const mine = query * wide + h * headDim
      const theirs = Math.floor(h * kvHeads / heads) * headDim
      let through = 0
      for (let d = 0; d < headDim; d++) through += c[mine + d]! * y.data[mine + d]!
      for (let j = 0; j < seen; j++) {
        const key = (j < prompt ? start + j : branch + j - prompt) * narrow + theirs
        const p = saved.data[at + h * seen + j]!
        let dp = 0
        for (let d = 0; d < headDim; d++) {
          dp += c[mine + d]! * v.data[key + d]!
          dv.data[key + d] = dv.data[key + d]! + p * c[mine + d]!
        }
        const ds = p * (dp - through) * scale
        for (let d = 0; d < headDim; d++) {
          dq.data[mine + d] = dq.data[mine + d]! + ds * k.data[key + d]!
          dk.data[key + d] = dk.data[key + d]! + ds * q.data[mine + d]!
        }
      }
    }
  })
  return { q: dq, k: dk, v: dv }
}
