// y = cotangent * (cdf(x) + x * density(x)); with the tanh approximation, density is the derivative of that cdf.
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { cdf, type GeluAttributes, tanhArgument } from "./gelu.ts"
import { check, equal, float, type GradientRule } from "./rule.ts"

export interface GeluBackward {
  /** [R, n] each. */
  readonly inputs: { readonly cotangent: Value; readonly x: Value }
  /** The gradient of x, [R, n]. */
  readonly outputs: { readonly y: Value }
  readonly attributes: GeluAttributes
}

export const shape: ShapeRule<"geluBackward"> = (inputs) => {
  check(equal(inputs.cotangent.shape, inputs.x.shape), "geluBackward", inputs)
  return { y: float(...inputs.x.shape) }
}

export const gradient: GradientRule<"geluBackward"> = "none"

const density = (x: number, { approximation }: GeluAttributes): number =>
  approximation === "tanh"
    ? (1 - Math.tanh(tanhArgument(x)) ** 2) * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x) / 2
    : Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI)

export const kernel: Kernel<"geluBackward"> = ({ cotangent, x }, attributes) => ({
  y: floats(
    x.shape,
    x.data.map((each, i) => cotangent.data[i]! * (cdf(each, attributes) + each * density(each, attributes)))
  )
})
