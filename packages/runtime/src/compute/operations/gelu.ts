// y = x * cdf(x), cdf the standard normal's distribution function, exact by erf, or approximated by
// (1 + tanh(sqrt(2 / pi) (x + 0.044715 x³))) / 2 ("gelu_new", "gelu_pytorch_tanh"). https://arxiv.org/abs/1606.08415
import type { ShapeRule, Value } from "../Graph.ts"
import { erf } from "../reference/erf.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { float, type GradientRule } from "./rule.ts"

export interface Gelu {
  /** [R, n] */
  readonly inputs: { readonly x: Value }
  /** [R, n] */
  readonly outputs: { readonly y: Value }
  readonly attributes: GeluAttributes
}
export interface GeluAttributes {
  readonly approximation: "none" | "tanh"
}

export const shape: ShapeRule<"gelu"> = ({ x }) => ({ y: float(...x.shape) })

export const gradient: GradientRule<"gelu"> = (
  { build, cotangents: { y }, node: { attributes, inputs: { x } }, sum, wanted }
) => {
  if (wanted(x)) sum(x, build.emit("geluBackward", { cotangent: y!, x }, attributes).y)
}

/** The argument of the tanh. */
export const tanhArgument = (x: number): number => Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)

export const cdf = (x: number, { approximation }: GeluAttributes): number =>
  approximation === "tanh" ? (1 + Math.tanh(tanhArgument(x))) / 2 : (1 + erf(x / Math.SQRT2)) / 2

export const kernel: Kernel<"gelu"> = ({ x }, attributes) => ({
  y: floats(x.shape, x.data.map((each) => each * cdf(each, attributes)))
})
