// y = (offset + weight) * x * inverse, inverse = 1 / sqrt(mean(x²) + epsilon), the mean over a row, or over each head of it.
// https://arxiv.org/abs/1910.07467
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { check, float, type GradientRule } from "./rule.ts"

export interface RmsNorm {
  /** x [R, n d]; weight [d]: n = 1 for a row as a whole, the number of heads for a norm of each. */
  readonly inputs: { readonly x: Value; readonly weight: Value }
  /** y [R, n d]; inverse [R, n]. */
  readonly outputs: { readonly y: Value; readonly inverse: Value }
  /** The offset is 0 when absent. */
  readonly attributes: { readonly epsilon: number; readonly offset?: number | undefined }
}

/** How many vectors of the weight's length stand in a row. */
export const vectorsOf = (x: Pick<Value, "shape">, weight: Pick<Value, "shape">): number =>
  (x.shape[1] as number) / (weight.shape[0] as number)

export const shape: ShapeRule<"rmsNorm"> = (inputs) => {
  const { weight, x } = inputs
  const vectors = vectorsOf(x, weight)
  check(x.shape.length === 2 && weight.shape.length === 1 && Number.isInteger(vectors), "rmsNorm", inputs)
  return { y: float(...x.shape), inverse: float(x.shape[0]!, vectors) }
}

export const gradient: GradientRule<"rmsNorm"> = ({ build, cotangents: { y }, node, sum }) => {
  const { attributes: { offset }, inputs: { weight, x }, outputs: { inverse } } = node
  const d = build.emit("rmsNormBackward", { cotangent: y!, x, weight, inverse }, { offset })
  sum(x, d.x)
  sum(weight, d.weight)
}

export const kernel: Kernel<"rmsNorm"> = ({ weight, x }, { epsilon, offset = 0 }) => {
  const width = weight.data.length
  const y = floats(x.shape)
  const inverse = floats([x.shape[0]!, vectorsOf(x, weight)])
  for (let r = 0; r < inverse.data.length; r++) {
    let squares = 0
    for (let j = 0; j < width; j++) squares += x.data[r * width + j]! ** 2
    const factor = 1 / Math.sqrt(squares / width + epsilon)
    inverse.data[r] = factor
    for (let j = 0; j < width; j++) y.data[r * width + j] = x.data[r * width + j]! * factor * (offset + weight.data[j]!)
  }
  return { y, inverse }
}
