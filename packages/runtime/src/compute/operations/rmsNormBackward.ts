// With n = x * inverse and g = cotangent * (offset + weight): x = inverse * (g - n * mean(g n)) per vector, weight = sum over
// vectors of cotangent * n.
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { type RmsNorm, vectorsOf } from "./rmsNorm.ts"
import { check, equal, float, type GradientRule } from "./rule.ts"

export interface RmsNormBackward {
  /** cotangent, x [R, n d]; weight [d]; inverse [R, n]. */
  readonly inputs: { readonly cotangent: Value; readonly x: Value; readonly weight: Value; readonly inverse: Value }
  /** Gradients: x [R, n d]; weight [d]. */
  readonly outputs: { readonly x: Value; readonly weight: Value }
  readonly attributes: Pick<RmsNorm["attributes"], "offset">
}

export const shape: ShapeRule<"rmsNormBackward"> = (inputs) => {
  const { cotangent, inverse, weight, x } = inputs
  check(
    equal(cotangent.shape, x.shape) && equal(inverse.shape, [x.shape[0]!, vectorsOf(x, weight)]),
    "rmsNormBackward",
    inputs
  )
  return { x: float(...x.shape), weight: float(...weight.shape) }
}

export const gradient: GradientRule<"rmsNormBackward"> = "none"

export const kernel: Kernel<"rmsNormBackward"> = ({ cotangent, inverse, weight, x }, { offset = 0 }) => {
  const width = weight.data.length
  const dx = floats(x.shape)
  const dw = floats(weight.shape)
  for (let r = 0; r < inverse.data.length; r++) {
    const factor = inverse.data[r]!
    let mean = 0
    for (let j = 0; j < width; j++) {
      const i = r * width + j
      const cn = cotangent.data[i]! * x.data[i]! * factor
      dw.data[j] = dw.data[j]! + cn
      mean += cn * (offset + weight.data[j]!) / width
    }
    for (let j = 0; j < width; j++) {
      const i = r * width + j
      dx.data[i] = factor * (cotangent.data[i]! * (offset + weight.data[j]!) - x.data[i]! * factor * mean)
    }
  }
  return { x: dx, weight: dw }
}
