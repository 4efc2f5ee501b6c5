// KL(model, reference) of whole answers, from answers that the model sampled: the mean log-ratio.
import type { TokenGroups } from "../compute/Batch.ts"
import { interval } from "./bootstrap.ts"
import type { Numbers } from "./metrics.ts"

/** Log-probabilities of all completion tokens, by group, branch and position. Prompts are resampled, not their answers. */
export const divergenceOf = (data: TokenGroups, model: Float64Array, reference: Float64Array): Numbers => {
  const width = data.sides.length
  const ratios = new Float64Array(data.ids.length)
  let at = 0
  for (const [b, length] of data.branchLength.entries()) {
    let ratio = 0
    for (const end = at + length; at < end; at++) ratio += model[at]! - reference[at]!
    ratios[Math.floor(b / width)]! += ratio / width
  }
  const { high, low } = interval(ratios)
  const total = ratios.reduce((sum, ratio) => sum + ratio, 0)
  return {
    sequenceKl: total / ratios.length,
    sequenceKlLow: low,
    sequenceKlHigh: high,
    sequenceKlPerToken: total * width / model.length
  }
}
