// With s = sigmoid(gate) and z = gate s: up = cotangent * z, gate = cotangent * up * (z + s (1 - z)).
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { check, equal, float, type GradientRule } from "./rule.ts"

export interface SwigluBackward {
  /** [R, f] each. */
  readonly inputs: { readonly cotangent: Value; readonly gate: Value; readonly up: Value }
  /** Gradients, [R, f] each. */
  readonly outputs: { readonly gate: Value; readonly up: Value }
  readonly attributes: Readonly<Record<never, never>>
}

export const shape: ShapeRule<"swigluBackward"> = (inputs) => {
  const { cotangent, gate, up } = inputs
  check(equal(gate.shape, up.shape) && equal(cotangent.shape, up.shape), "swigluBackward", inputs)
  return { gate: float(...gate.shape), up: float(...up.shape) }
}

export const gradient: GradientRule<"swigluBackward"> = "none"

export const kernel: Kernel<"swigluBackward"> = ({ cotangent, gate, up }) => {
  const dGate = floats(gate.shape)
  const dUp = floats(up.shape)
  for (let i = 0; i < dUp.data.length; i++) {
    const s = 1 / (1 + Math.exp(-gate.data[i]!))
    const z = gate.data[i]! * s
    dUp.data[i] = cotangent.data[i]! * z
    dGate.data[i] = cotangent.data[i]! * up.data[i]! * (z + s * (1 - z))
  }
  return { gate: dGate, up: dUp }
}
