// y = a * b, element by element.
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { check, equal, float, type GradientRule } from "./rule.ts"

export interface Multiply {
  /** [R, n] each. */
  readonly inputs: { readonly a: Value; readonly b: Value }
  /** [R, n] */
  readonly outputs: { readonly y: Value }
  readonly attributes: Readonly<Record<never, never>>
}

export const shape: ShapeRule<"multiply"> = (inputs) => {
  check(equal(inputs.a.shape, inputs.b.shape), "multiply", inputs)
  return { y: float(...inputs.a.shape) }
}

export const gradient: GradientRule<"multiply"> = (
  { build, cotangents: { y }, node: { inputs: { a, b } }, sum, wanted }
) => {
  if (wanted(a)) sum(a, build.emit("multiply", { a: y!, b }, {}).y)
  if (wanted(b)) sum(b, build.emit("multiply", { a: y!, b: a }, {}).y)
}

export const kernel: Kernel<"multiply"> = ({ a, b }) => ({
  y: floats(a.shape, a.data.map((each, i) => each * b.data[i]!))
})
