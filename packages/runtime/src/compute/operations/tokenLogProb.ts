// logProb[n] = logSoftmax(hidden headᵀ)[predictor[n], targets[n]]: head, log-softmax and pick in one operation, so that an
// engine with a large vocabulary can go in chunks. Rows are unique; a prompt's last row serves the first token of every branch.
import type { ShapeRule, Value } from "../Graph.ts"
import { check, equal, float, type GradientRule, opaque } from "./rule.ts"

export interface TokenLogProb {
  /** hidden [M, d]; head [V, d]; predictor int [N], in [0, M); targets int [N], in [0, V). */
  readonly inputs: { readonly hidden: Value; readonly head: Value; readonly predictor: Value; readonly targets: Value }
  /** logProb [N], in nats; saved: whatever the engine keeps for the gradient (the log-softmax, its log-sums, nothing). */
  readonly outputs: { readonly logProb: Value; readonly saved: Value }
  readonly attributes: Readonly<Record<never, never>>
}

export const shape: ShapeRule<"tokenLogProb"> = (inputs) => {
  const { head, hidden, predictor, targets } = inputs
  check(
    hidden.shape.length === 2 && equal(head.shape.slice(1), hidden.shape.slice(1))
      && predictor.dtype === "int" && targets.dtype === "int" && equal(predictor.shape, targets.shape),
    "tokenLogProb",
    inputs
  )
  return { logProb: float(...targets.shape), saved: opaque }
}

export const gradient: GradientRule<"tokenLogProb"> = ({ build, cotangents, node: { inputs, outputs }, sum }) => {
  const d = build.emit("tokenLogProbBackward", { cotangent: cotangents.logProb!, ...inputs, saved: outputs.saved }, {})
  sum(inputs.head, d.head)
  sum(inputs.hidden, d.hidden)
}
