// What a model's preferences go by besides what people prefer: how sure it is, and how long answers are.
import type { Numbers } from "./metrics.ts"

const bins = 10

/**
 * `probabilities` [pairs] that the chosen answer is preferred. A pair's confidence is that of the answer the model prefers,
 * from a half to one; the expected error is the mean over pairs of |accuracy - confidence| of their bin.
 */
export const calibrationOf = (probabilities: Float64Array): Numbers => {
  const sums = Array.from({ length: bins }, () => ({ confidence: 0, right: 0 }))
  let brier = 0
  for (const p of probabilities) {
    const confidence = Math.max(p, 1 - p)
    const bin = sums[Math.min(bins - 1, Math.floor((confidence - 0.5) * 2 * bins))]!
    bin.confidence += confidence
    bin.right += p > 0.5 ? 1 : p === 0.5 ? 0.5 : 0
    brier += (1 - p) ** 2
  }
  const error = sums.reduce((sum, { confidence, right }) => sum + Math.abs(right - confidence), 0)
  return { calibrationError: error / probabilities.length, brierScore: brier / probabilities.length }
}

/** Pearson's; 0 where one of both is constant, which goes with nothing. */
const correlation = (a: Float64Array, b: Float64Array): number => {
  const mean = (values: Float64Array): number => values.reduce((x, y) => x + y, 0) / values.length
  const [meanA, meanB] = [mean(a), mean(b)]
  let [ab, aa, bb] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    ab += (a[i]! - meanA) * (b[i]! - meanB)
    aa += (a[i]! - meanA) ** 2
    bb += (b[i]! - meanB) ** 2
  }
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb)
}

/** `margins` and `lengths` [pairs]: chosen less rejected, per token and in tokens. */
export const lengthBiasOf = (margins: Float64Array, lengths: Float64Array): Numbers => {
  const unequal = [...lengths.keys()].filter((i) => lengths[i] !== 0)
  const share = (of: (i: number) => number): number =>
    // Without such pairs nothing is known: a coin's share.
    unequal.length === 0 ? 0.5 : unequal.reduce((sum, i) => sum + of(i), 0) / unequal.length
  return {
    longerPreferred: share((i) => 0.5 * (1 + Math.sign(margins[i]! * lengths[i]!))),
    longerChosen: share((i) => Number(lengths[i]! > 0)),
    marginLengthCorrelation: correlation(margins, lengths)
  }
}
