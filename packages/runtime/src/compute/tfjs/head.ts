// The head: probabilities of the predicting rows and the log-probabilities of the completion tokens.
import type { Tensor as TfTensor } from "@tensorflow/tfjs-core"
import { capped, type Context, floats, type Lowering, of, opaque, slopeOfCap, type Tensor } from "./Lowering.ts"

/** [N, 2] the row and the token of each entry. */
const entriesOf = (predictor: Tensor, targets: Tensor, { once, tf }: Context): TfTensor =>
  once(predictor.ints, "entries", () => {
    const pairs = new Int32Array(2 * predictor.ints.length)
    predictor.ints.forEach((row, n) => pairs.set([row, targets.ints[n]!], 2 * n))
    return tf.tensor2d(pairs, [predictor.ints.length, 2], "int32")
  })

/** `saved` is the softmax [M, V]. */
export const tokenLogProb: Lowering<"tokenLogProb"> = ({ head, hidden, predictor, targets }, { softCap }, context) => {
  const { index, tf } = context
  const vocabulary = head.shape[0]!
  const bad = targets.ints.find((token) => token < 0 || token >= vocabulary)
  if (bad !== undefined) throw new Error(`token ${bad} is outside the vocabulary of ${vocabulary}`)
  const logits = capped(tf.matMul(of(hidden), of(head), false, true), softCap, tf)
  const p = tf.softmax(logits)
  // log sum exp(x) = max(x) - log(max softmax(x)): the softmax is there already, and its largest entry never underflows
  const logSums = tf.sub(tf.max(logits, 1), tf.log(tf.max(p, 1)))
  const picked = tf.gatherND(logits, entriesOf(predictor, targets, context))
  const logProb = tf.sub(picked, tf.gatherND(logSums, index(predictor.ints)))
  return { logProb: floats(logProb), saved: opaque([p]) }
}

export const tokenLogProbBackward: Lowering<"tokenLogProbBackward"> = (inputs, { softCap }, context) => {
  const { cotangent, head, hidden, predictor, saved, targets } = inputs
  const { index, tf } = context
  const [rows, vocabulary] = [hidden.shape[0]!, head.shape[0]!]
  const perRow: TfTensor = tf.scatterND(index(predictor.ints), of(cotangent), [rows])
  const entries: TfTensor = tf.scatterND(entriesOf(predictor, targets, context), of(cotangent), [rows, vocabulary])
  const slopes = tf.sub(entries, tf.mul(of(saved), tf.reshape(perRow, [rows, 1])))
  const logits = softCap === undefined
    ? slopes
    : tf.mul(slopes, slopeOfCap(tf.matMul(of(hidden), of(head), false, true), softCap, tf))
  return {
    hidden: floats(tf.matMul(logits, of(head))),
    head: floats(tf.matMul(logits, of(hidden), true, false))
  }
}
