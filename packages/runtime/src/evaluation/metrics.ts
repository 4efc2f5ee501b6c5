// Metrics of held-out pairs, from token log-probabilities: one row of the table per name, each giving named numbers.
// The columns are documented where they are declared, in the language (Evaluation.ts).
import type { MetricName } from "@penchant/dsl/Evaluation"
import type { TokenGroups } from "../compute/Batch.ts"
import { calibrationOf, lengthBiasOf } from "./bias.ts"
import { interval } from "./bootstrap.ts"

/** [pairs] each: what a model says of an answer. */
export interface Answers {
  readonly sum: Float64Array
  readonly mean: Float64Array
  /** Completion tokens, EOS included. */
  readonly length: Int32Array
}
export interface Judged {
  readonly chosen: Answers
  readonly rejected: Answers
}

/** Sums and means per answer; `logProbs` are those of all completion tokens, by group, branch and position. */
export const judge = (data: TokenGroups, logProbs: Float64Array): Judged => {
  const pairs = data.ids.length
  const width = data.sides.length
  const answers = data.sides.map(() => ({
    sum: new Float64Array(pairs),
    mean: new Float64Array(pairs),
    length: new Int32Array(pairs)
  }))
  let at = 0
  for (let b = 0; b < data.branchLength.length; b++) {
    const of = answers[b % width]!
    const g = Math.floor(b / width)
    const length = data.branchLength[b]!
    let sum = 0
    for (const end = at + length; at < end; at++) sum += logProbs[at]!
    of.sum[g] = sum
    of.mean[g] = sum / length
    of.length[g] = length
  }
  const side = (name: string): Answers => {
    const found = answers[data.sides.indexOf(name)]
    if (found === undefined) {
      throw new Error(`a metric of pairs needs the side "${name}"; there is ${data.sides.join(", ")}`)
    }
    return found
  }
  return { chosen: side("chosen"), rejected: side("rejected") }
}

type Values = Float64Array | Int32Array

/** [pairs] 1 where `better` is larger, a half where both are equal, else 0. */
const wins = (better: Values, worse: Values): Float64Array =>
  Float64Array.from(better, (value, i) => 0.5 * (1 + Math.sign(value - worse[i]!)))
const minus = (a: Values, b: Values): Float64Array => Float64Array.from(a, (value, i) => value - b[i]!)
const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length

/** Answers of nearly equal length: they differ by at most this share of the longer one. */
const lengthTolerance = 0.1

export type Numbers = Readonly<Record<string, number>>
export interface Options {
  /** Of `calibration`. */
  readonly beta?: number
  /** Of `accuracyBy`: the pairs of each part, by its name. */
  readonly slices?: Readonly<Record<string, ReadonlyArray<number>>>
}
type Metric = (model: Judged, against: Judged | undefined, options?: Options) => Numbers

/** A mean over pairs with its bootstrap interval. */
const withInterval = (name: string, values: Float64Array): Numbers => {
  const { high, low } = interval(values)
  return { [name]: mean(values), [`${name}Low`]: low, [`${name}High`]: high }
}

const perToken = (side: keyof Judged, change: string): Metric => (model, against) => ({
  [`${side}LogProb`]: mean(model[side].mean),
  ...(against === undefined ? {} : withInterval(change, minus(model[side].mean, against[side].mean)))
})

const marginOf = ({ chosen, rejected }: Judged): Float64Array => minus(chosen.mean, rejected.mean)

export const metrics: Record<MetricName, Metric> = {
  preferenceAccuracy: ({ chosen, rejected }, against) => {
    const right = wins(chosen.sum, rejected.sum)
    const matched = right.filter((_, i) => {
      const [a, b] = [chosen.length[i]!, rejected.length[i]!]
      return Math.abs(a - b) <= lengthTolerance * Math.max(a, b)
    })
    const change = against === undefined ? undefined : minus(right, wins(against.chosen.sum, against.rejected.sum))
    return {
      ...withInterval("preferenceAccuracy", right),
      preferenceAccuracyMean: mean(wins(chosen.mean, rejected.mean)),
      shorterWins: mean(wins(rejected.length, chosen.length)),
      // Without such pairs nothing is known: a coin's accuracy, to be read with the count.
      lengthMatchedAccuracy: matched.length === 0 ? 0.5 : mean(matched),
      lengthMatchedPairs: matched.length,
      ...(change === undefined ? {} : withInterval("accuracyChange", change))
    }
  },
  chosenLogProb: perToken("chosen", "chosenChange"),
  rejectedLogProb: perToken("rejected", "rejectedChange"),
  margin: (model, against) => ({
    ...withInterval("margin", marginOf(model)),
    ...(against === undefined ? {} : withInterval("marginChange", minus(marginOf(model), marginOf(against))))
  }),
  calibration: (model, against, { beta = 1 } = {}) => {
    const difference = minus(model.chosen.sum, model.rejected.sum)
    const rewards = against === undefined
      ? difference
      : minus(difference, minus(against.chosen.sum, against.rejected.sum))
    return calibrationOf(rewards.map((reward) => 1 / (1 + Math.exp(-beta * reward))))
  },
  lengthBias: (model, against) => {
    const margins = against === undefined ? marginOf(model) : minus(marginOf(model), marginOf(against))
    return lengthBiasOf(margins, minus(model.chosen.length, model.rejected.length))
  },
  accuracyBy: ({ chosen, rejected }, _, { slices = {} } = {}) => {
    const right = wins(chosen.sum, rejected.sum)
    return Object.assign(
      {},
      ...Object.entries(slices).filter(([, pairs]) => pairs.length > 0).map(([name, pairs]) =>
        Object.assign(withInterval(name, Float64Array.from(pairs, (p) => right[p]!)), {
          [`${name}Pairs`]: pairs.length
        })
      )
    ) as Numbers
  }
}
