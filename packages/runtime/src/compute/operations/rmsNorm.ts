// y = weight * x * inverse, inverse = 1 / sqrt(mean(x²) + epsilon) per row. https://arxiv.org/abs/1910.07467
import type { ShapeRule, Value } from "../Graph.ts"
import { check, equal, float, type GradientRule } from "./rule.ts"

export interface RmsNorm {
  /** x [R, d]; weight [d]. */
  readonly inputs: { readonly x: Value; readonly weight: Value }
  /** y [R, d]; inverse [R, 1]. */
  readonly outputs: { readonly y: Value; readonly inverse: Value }
  readonly attributes: { readonly epsilon: number }
}

export const shape: ShapeRule<"rmsNorm"> = (inputs) => {
  const { weight, x } = inputs
  check(x.shape.length === 2 && equal(weight.shape, x.shape.slice(1)), "rmsNorm", inputs)
  return { y: float(...x.shape), inverse: float(x.shape[0]!, 1) }
}

export const gradient: GradientRule<"rmsNorm"> = ({ build, cotangents: { y }, node, sum }) => {
  const { inputs: { weight, x }, outputs: { inverse } } = node
  const d = build.emit("rmsNormBackward", { cotangent: y!, x, weight, inverse }, {})
  sum(x, d.x)
  sum(weight, d.weight)
}
