// y[j] = sum_r x[r, j], in row order: the gradient of a bias.
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { check, float, type GradientRule } from "./rule.ts"

export interface SumRows {
  /** [R, n] */
  readonly inputs: { readonly x: Value }
  /** [n] */
  readonly outputs: { readonly y: Value }
  readonly attributes: Readonly<Record<never, never>>
}

export const shape: ShapeRule<"sumRows"> = (inputs) => {
  check(inputs.x.shape.length === 2, "sumRows", inputs)
  return { y: float(inputs.x.shape[1]!) }
}

export const gradient: GradientRule<"sumRows"> = "none"

export const kernel: Kernel<"sumRows"> = ({ x }) => {
  const y = floats(x.shape.slice(1))
  const width = y.data.length
  for (let i = 0; i < x.data.length; i++) y.data[i % width] = y.data[i % width]! + x.data[i]!
  return { y }
}
