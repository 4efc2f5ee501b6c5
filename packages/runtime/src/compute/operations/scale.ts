// y = factor * x.
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { float, type GradientRule } from "./rule.ts"

export interface Scale {
  /** [R, n] */
  readonly inputs: { readonly x: Value }
  /** [R, n] */
  readonly outputs: { readonly y: Value }
  readonly attributes: { readonly factor: number }
}

export const shape: ShapeRule<"scale"> = ({ x }) => ({ y: float(...x.shape) })

export const gradient: GradientRule<"scale"> = (
  { build, cotangents: { y }, node: { attributes, inputs: { x } }, sum, wanted }
) => {
  if (wanted(x)) sum(x, build.emit("scale", { x: y! }, attributes).y)
}

export const kernel: Kernel<"scale"> = ({ x }, { factor }) => ({
  y: floats(x.shape, x.data.map((each) => factor * each))
})
