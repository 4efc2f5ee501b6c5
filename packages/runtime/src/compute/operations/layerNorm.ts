// y = weight * (x - mean) * inverse + bias, inverse = 1 / sqrt(variance + epsilon), both over a row; the variance is biased.
// https://arxiv.org/abs/1607.06450
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { check, equal, float, type GradientRule } from "./rule.ts"

export interface LayerNorm {
  /** x [R, d]; weight, bias [d]. */
  readonly inputs: { readonly x: Value; readonly weight: Value; readonly bias: Value }
  /** y [R, d]; mean, inverse [R, 1]. */
  readonly outputs: { readonly y: Value; readonly mean: Value; readonly inverse: Value }
  readonly attributes: { readonly epsilon: number }
}

export const shape: ShapeRule<"layerNorm"> = (inputs) => {
  const { bias, weight, x } = inputs
  check(
    x.shape.length === 2 && equal(weight.shape, x.shape.slice(1)) && equal(bias.shape, weight.shape),
    "layerNorm",
    inputs
  )
  return { y: float(...x.shape), mean: float(x.shape[0]!, 1), inverse: float(x.shape[0]!, 1) }
}

export const gradient: GradientRule<"layerNorm"> = ({ build, cotangents: { y }, node, sum }) => {
  const { inputs: { bias, weight, x }, outputs: { inverse, mean } } = node
  const d = build.emit("layerNormBackward", { cotangent: y!, x, weight, mean, inverse }, {})
  sum(x, d.x)
  sum(weight, d.weight)
  sum(bias, d.bias)
}

export const kernel: Kernel<"layerNorm"> = ({ bias, weight, x }, { epsilon }) => {
  const [rows, width] = x.shape as [number, number]
  const y = floats(x.shape)
  const mean = floats([rows, 1])
  const inverse = floats([rows, 1])
  for (let r = 0; r < rows; r++) {
    const row = x.data.subarray(r * width, (r + 1) * width)
    const middle = row.reduce((a, b) => a + b, 0) / width
    const factor = 1 / Math.sqrt(row.reduce((sum, each) => sum + (each - middle) ** 2, 0) / width + epsilon)
    mean.data[r] = middle
    inverse.data[r] = factor
    row.forEach((each, j) => {
      y.data[r * width + j] = (each - middle) * factor * weight.data[j]! + bias.data[j]!
    })
  }
  return { y, mean, inverse }
}
