// logProb[n] = logSoftmax(hidden headᵀ)[predictor[n], targets[n]]: head, log-softmax and pick in one operation, so that an
// engine with a large vocabulary can go in chunks. Rows are unique; a prompt's last row serves the first token of every branch.
import type { ShapeRule, Value } from "../Graph.ts"
import { addProduct } from "../reference/product.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { check, equal, float, type GradientRule, opaque } from "./rule.ts"

export interface TokenLogProb {
  /** hidden [M, d]; head [V, d]; predictor int [N], in [0, M); targets int [N], in [0, V). */
  readonly inputs: { readonly hidden: Value; readonly head: Value; readonly predictor: Value; readonly targets: Value }
  /** logProb [N], in nats; saved: whatever the engine keeps for the gradient (the log-softmax, its log-sums, nothing). */
  readonly outputs: { readonly logProb: Value; readonly saved: Value }
  readonly attributes: HeadAttributes
}
export interface HeadAttributes {
  /** Logits become softCap * tanh(logit / softCap) before the softmax. */
  readonly softCap?: number | undefined
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

export const gradient: GradientRule<"tokenLogProb"> = ({ build, cotangents, node, sum }) => {
  const { attributes, inputs, outputs: { saved } } = node
  const d = build.emit("tokenLogProbBackward", { cotangent: cotangents.logProb!, ...inputs, saved }, attributes)
  sum(inputs.head, d.head)
  sum(inputs.hidden, d.hidden)
}

/** `saved` is the log-softmax [M, V]. */
export const kernel: Kernel<"tokenLogProb"> = ({ head, hidden, predictor, targets }, { softCap }) => {
  const [rows, width] = hidden.shape as [number, number]
  const vocabulary = head.shape[0]!
  const saved = floats([rows, vocabulary])
  addProduct(saved.data, hidden.data, head.data, rows, vocabulary, width)
  if (softCap !== undefined) saved.data.forEach((logit, i) => (saved.data[i] = softCap * Math.tanh(logit / softCap)))
  for (let m = 0; m < rows; m++) {
    const row = saved.data.subarray(m * vocabulary, (m + 1) * vocabulary)
    let top = -Infinity
    for (let j = 0; j < vocabulary; j++) if (row[j]! > top) top = row[j]!
    let total = 0
    for (let j = 0; j < vocabulary; j++) total += Math.exp(row[j]! - top)
    const lift = top + Math.log(total)
    for (let j = 0; j < vocabulary; j++) row[j] = row[j]! - lift
  }
  const logProb = floats(targets.shape)
  targets.ints.forEach((target, n) => {
    if (target < 0 || target >= vocabulary) {
      throw new Error(`token ${target} is outside the vocabulary of ${vocabulary}`)
    }
    logProb.data[n] = saved.data[predictor.ints[n]! * vocabulary + target]!
  })
  return { logProb, saved }
}
