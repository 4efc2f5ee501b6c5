// With s = sigmoid(gate) and z = gate s: up = cotangent * z, gate = cotangent * up * (z + s (1 - z)).
import type { ShapeRule, Value } from "../Graph.ts"
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
