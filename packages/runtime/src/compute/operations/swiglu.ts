// y = silu(gate) * up, silu(x) = x sigmoid(x). https://arxiv.org/abs/2002.05202
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { check, equal, float, type GradientRule } from "./rule.ts"

export interface Swiglu {
  /** [R, f] each. */
  readonly inputs: { readonly gate: Value; readonly up: Value }
  /** [R, f] */
  readonly outputs: { readonly y: Value }
  readonly attributes: Readonly<Record<never, never>>
}

export const shape: ShapeRule<"swiglu"> = (inputs) => {
  check(equal(inputs.gate.shape, inputs.up.shape), "swiglu", inputs)
  return { y: float(...inputs.gate.shape) }
}

export const gradient: GradientRule<"swiglu"> = ({ build, cotangents: { y }, node: { inputs: { gate, up } }, sum }) => {
  const d = build.emit("swigluBackward", { cotangent: y!, gate, up }, {})
  sum(gate, d.gate)
  sum(up, d.up)
}

export const kernel: Kernel<"swiglu"> = ({ gate, up }) => {
  const y = floats(gate.shape)
  for (let i = 0; i < y.data.length; i++) y.data[i] = gate.data[i]! / (1 + Math.exp(-gate.data[i]!)) * up.data[i]!
  return { y }
}
