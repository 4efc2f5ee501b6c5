// y = weight * x * inverse, inverse = 1 / sqrt(mean(x²) + epsilon) per row. https://arxiv.org/abs/1910.07467
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
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

export const kernel: Kernel<"rmsNorm"> = ({ weight, x }, { epsilon }) => {
  const [rows, width] = x.shape as [number, number]
  const y = floats(x.shape)
  const inverse = floats([rows, 1])
  for (let r = 0; r < rows; r++) {
    let squares = 0
    for (let j = 0; j < width; j++) squares += x.data[r * width + j]! ** 2
    const factor = 1 / Math.sqrt(squares / width + epsilon)
    inverse.data[r] = factor
    for (let j = 0; j < width; j++) y.data[r * width + j] = x.data[r * width + j]! * factor * weight.data[j]!
  }
  return { y, inverse }
}
