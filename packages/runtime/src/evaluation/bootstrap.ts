// Percentile bootstrap intervals over pairs. They cover the choice of held-out pairs and nothing else: not the seed that a
// model was trained with, not the data it was trained on.
import { seed } from "@penchant/dsl/Identity"
import { below, random } from "../platform/random.ts"

export interface Interval {
  readonly low: number
  readonly high: number
}

export const resamples = 2000
/** What a table says beside an interval. */
export const covers =
  `95 % percentile bootstrap over the held-out pairs (${resamples} resamples, seeded); the seeds and the data of training are not covered`

/**
 * 95 % interval of the mean of `values`, one per pair. Of a difference that was taken pair by pair it is a paired interval.
 * The draws depend on the number of pairs alone, so two columns over the same pairs are resampled alike.
 */
export const interval = (values: Float64Array): Interval => {
  const draw = random(seed(0, "evaluation/bootstrap"))
  const means = new Float64Array(resamples)
  for (let r = 0; r < resamples; r++) {
    let sum = 0
    for (let i = 0; i < values.length; i++) sum += values[below(values.length, draw)]!
    means[r] = sum / values.length
  }
  means.sort()
  const at = (share: number): number => means[Math.round(share * (resamples - 1))]!
  return { low: at(0.025), high: at(0.975) }
}
