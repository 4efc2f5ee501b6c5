// y = cap * tanh(x / cap). Of logits in generation only, which nothing differentiates: training's cap is `tokenLogProb`'s.
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { float, type GradientRule } from "./rule.ts"

export interface SoftCap {
  /** [R, n] */
  readonly inputs: { readonly x: Value }
  /** [R, n] */
  readonly outputs: { readonly y: Value }
  readonly attributes: { readonly cap: number }
}

export const shape: ShapeRule<"softCap"> = ({ x }) => ({ y: float(...x.shape) })

export const gradient: GradientRule<"softCap"> = "none"

export const kernel: Kernel<"softCap"> = ({ x }, { cap }) => ({
  y: floats(x.shape, x.data.map((each) => cap * Math.tanh(each / cap)))
})
