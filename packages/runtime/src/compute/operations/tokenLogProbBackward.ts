// Gradients of `tokenLogProb`. With p = softmax(hidden headᵀ) [M, V] and c the cotangent summed over the entries of a row:
// logits[m, v] = sum of cotangent over entries (m, v) - c[m] p[m, v]; hidden = logits head; head = logitsᵀ hidden.
// With a soft cap, logits are also multiplied by its slope 1 - tanh²(hidden headᵀ / softCap).
// Several entries may name the same row, and the same row and target.
import type { ShapeRule, Value } from "../Graph.ts"
import { addProduct, transposed } from "../reference/product.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { check, equal, float, type GradientRule } from "./rule.ts"
import type { HeadAttributes } from "./tokenLogProb.ts"

export interface TokenLogProbBackward {
  /** cotangent [N]; the rest as in `tokenLogProb`, and what it saved. */
  readonly inputs: {
    readonly cotangent: Value
    readonly hidden: Value
    readonly head: Value
    readonly predictor: Value
    readonly targets: Value
    readonly saved: Value
  }
  /** Gradients: hidden [M, d]; head [V, d]. Either may be unused. */
  readonly outputs: { readonly hidden: Value; readonly head: Value }
  readonly attributes: HeadAttributes
}

export const shape: ShapeRule<"tokenLogProbBackward"> = (inputs) => {
  check(equal(inputs.cotangent.shape, inputs.targets.shape), "tokenLogProbBackward", inputs)
  return { hidden: float(...inputs.hidden.shape), head: float(...inputs.head.shape) }
}

export const gradient: GradientRule<"tokenLogProbBackward"> = "none"

export const kernel: Kernel<"tokenLogProbBackward"> = (inputs, { softCap }) => {
  const { cotangent, head, hidden, predictor, saved, targets } = inputs
  const [rows, width] = hidden.shape as [number, number]
  const vocabulary = head.shape[0]!
  const perRow = new Float64Array(rows)
  predictor.ints.forEach((m, n) => {
    perRow[m] = perRow[m]! + cotangent.data[n]!
  })
  const logits = new Float64Array(rows * vocabulary)
  for (let i = 0; i < logits.length; i++) {
    logits[i] = -perRow[Math.floor(i / vocabulary)]! * Math.exp(saved.data[i]!)
  }
  predictor.ints.forEach((m, n) => {
    const i = m * vocabulary + targets.ints[n]!
    logits[i] = logits[i]! + cotangent.data[n]!
  })
  if (softCap !== undefined) {
    const uncapped = new Float64Array(logits.length)
    addProduct(uncapped, hidden.data, head.data, rows, vocabulary, width)
    for (let i = 0; i < logits.length; i++) logits[i] = logits[i]! * (1 - Math.tanh(uncapped[i]! / softCap) ** 2)
  }
  const dHidden = floats(hidden.shape)
  const dHead = floats(head.shape)
  addProduct(dHidden.data, logits, transposed(head.data, vocabulary, width), rows, width, vocabulary)
  addProduct(
    dHead.data,
    transposed(logits, rows, vocabulary),
    transposed(hidden.data, rows, width),
    vocabulary,
    width,
    rows
  )
  return { hidden: dHidden, head: dHead }
}
