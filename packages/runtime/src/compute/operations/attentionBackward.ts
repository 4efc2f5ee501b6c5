// Gradients of `attention`. Per block, with p the probabilities: v = pᵀ c, s = p * (c vᵀ - rowsum(c * y)), q = scale s k,
// k = scale sᵀ q, where c is the cotangent.
import type { ShapeRule, Value } from "../Graph.ts"
import type { AttentionAttributes } from "./attention.ts"
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
