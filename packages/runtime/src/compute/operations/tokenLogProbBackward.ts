// Gradients of `tokenLogProb`. With p = softmax(hidden headᵀ) [M, V] and c the cotangent summed over the entries of a row:
// logits[m, v] = sum of cotangent over entries (m, v) - c[m] p[m, v]; hidden = logits head; head = logitsᵀ hidden.
// Several entries may name the same row, and the same row and target.
import type { ShapeRule, Value } from "../Graph.ts"
import { check, equal, float, type GradientRule } from "./rule.ts"

export interface TokenLogProbBackward {
  /** cotangent [N]; the rest as in `tokenLogProb`, and what it saved. */
  readonly inputs: {
    readonly cotangent: Value
    readonly hidden: Value
    readonly head: Value
    readonly predictor: Value
    readonly targets: Value
    readonly saved: Value
  }
  /** Gradients: hidden [M, d]; head [V, d]. Either may be unused. */
  readonly outputs: { readonly hidden: Value; readonly head: Value }
  readonly attributes: Readonly<Record<never, never>>
}

export const shape: ShapeRule<"tokenLogProbBackward"> = (inputs) => {
  check(equal(inputs.cotangent.shape, inputs.targets.shape), "tokenLogProbBackward", inputs)
  return { hidden: float(...inputs.hidden.shape), head: float(...inputs.head.shape) }
}

export const gradient: GradientRule<"tokenLogProbBackward"> = "none"
