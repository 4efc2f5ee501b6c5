// With n = (x - mean) * inverse and g = cotangent * weight: x = inverse * (g - mean(g) - n * mean(g n)) per row,
// weight = sum over rows of cotangent * n, bias = sum over rows of cotangent.
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { check, equal, float, type GradientRule } from "./rule.ts"

export interface LayerNormBackward {
  /** cotangent, x [R, d]; weight [d]; mean, inverse [R, 1]. */
  readonly inputs: {
    readonly cotangent: Value
    readonly x: Value
    readonly weight: Value
    readonly mean: Value
    readonly inverse: Value
  }
  /** Gradients: x [R, d]; weight, bias [d]. */
  readonly outputs: { readonly x: Value; readonly weight: Value; readonly bias: Value }
  readonly attributes: Readonly<Record<never, never>>
}

export const shape: ShapeRule<"layerNormBackward"> = (inputs) => {
  const { cotangent, inverse, mean, weight, x } = inputs
  const perRow = [x.shape[0]!, 1]
  check(
    equal(cotangent.shape, x.shape) && equal(weight.shape, x.shape.slice(1)) && equal(mean.shape, perRow)
      && equal(inverse.shape, perRow),
    "layerNormBackward",
    inputs
  )
  return { x: float(...x.shape), weight: float(...weight.shape), bias: float(...weight.shape) }
}

export const gradient: GradientRule<"layerNormBackward"> = "none"

export const kernel: Kernel<"layerNormBackward"> = ({ cotangent, inverse, mean, weight, x }) => {
  const [rows, width] = x.shape as [number, number]
  const dx = floats(x.shape)
  const dw = floats(weight.shape)
  const db = floats(weight.shape)
  for (let r = 0; r < rows; r++) {
    const factor = inverse.data[r]!
    const normed = (i: number) => (x.data[i]! - mean.data[r]!) * factor
    let [slope, along] = [0, 0]
    for (let j = 0; j < width; j++) {
      const i = r * width + j
      const g = cotangent.data[i]! * weight.data[j]!
      dw.data[j] = dw.data[j]! + cotangent.data[i]! * normed(i)
      db.data[j] = db.data[j]! + cotangent.data[i]!
      slope += g / width
      along += g * normed(i) / width
    }
    for (let j = 0; j < width; j++) {
      const i = r * width + j
      dx.data[i] = factor * (cotangent.data[i]! * weight.data[j]! - slope - normed(i) * along)
    }
  }
  return { x: dx, weight: dw, bias: db }
}
