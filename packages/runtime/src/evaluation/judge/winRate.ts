// From verdicts to a win rate: order, ties, what could not be read, and what length has to do with it. Plain functions.
import { seed } from "@penchant/dsl/Identity"
import { interval } from "../bootstrap.ts"
import type { Numbers } from "../metrics.ts"

/** A prompt with the model's answer and the other one. */
export interface Contest {
  readonly id: string
  readonly prompt: string
  readonly own: string
  readonly other: string
}

/** The model's answer stands as A, or as B. */
export type Place = "A" | "B"

export const placesOf = ({ id, other, own }: Contest, order: "both" | "seeded"): ReadonlyArray<Place> =>
  own === other ? [] : order === "both" ? ["A", "B"] : [seed(0, `judge/order/${id}`) % 2 === 0 ? "A" : "B"]

export type Ties = "half" | "loss" | "leftOut"

/**
 * `preferences` of one contest: how much each order prefers the model's answer, from 0 to 1; undefined where the verdict could
 * not be read; none for equal answers. A tie is two orders that disagree, or none.
 */
const outcome = (preferences: ReadonlyArray<number | undefined>): number | "tie" | "unparsable" => {
  if (preferences.some((each) => each === undefined)) return "unparsable"
  const mean = preferences.reduce<number>((sum, each) => sum + each!, 0) / preferences.length
  return preferences.length === 0 || mean === 0.5 ? "tie" : mean
}

/** What the length of the longer answer does, as AlpacaEval has it: tanh of the difference over its deviation. */
const lengthFeature = (contests: ReadonlyArray<Contest>): Float64Array => {
  const differences = Float64Array.from(contests, ({ other, own }) => own.length - other.length)
  const mean = differences.reduce((a, b) => a + b, 0) / differences.length
  const deviation = Math.sqrt(differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / differences.length)
  return differences.map((d) => (deviation === 0 ? 0 : Math.tanh(d / deviation)))
}

/** Small, so that wins which length separates without error still have a finite fit. */
const ridge = 0.01

/** sigmoid(a) of the fit preference ~ sigmoid(a + b length), by Newton's method on soft labels. */
export const controlled = (preferences: Float64Array, lengths: Float64Array): number => {
  const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))
  let [a, b] = [0, 0]
  for (let step = 0; step < 100; step++) {
    let [ga, gb, aa, ab, bb] = [-ridge * a, -ridge * b, ridge, 0, ridge]
    for (let i = 0; i < preferences.length; i++) {
      const [x, p] = [lengths[i]!, sigmoid(a + b * lengths[i]!)]
      const [rest, weight] = [preferences[i]! - p, p * (1 - p)]
      ga += rest
      gb += rest * x
      aa += weight
      ab += weight * x
      bb += weight * x * x
    }
    const determinant = aa * bb - ab * ab
    const [da, db] = [(bb * ga - ab * gb) / determinant, (aa * gb - ab * ga) / determinant]
    a += da
    b += db
    if (Math.abs(da) + Math.abs(db) < 1e-12) break
  }
  return sigmoid(a)
}

/** Undefined where no contest is left to count. */
export const winRateOf = (
  contests: ReadonlyArray<Contest>,
  preferences: ReadonlyArray<ReadonlyArray<number | undefined>>,
  ties: Ties
): Numbers | undefined => {
  const outcomes = preferences.map(outcome)
  const tie = { half: 0.5, loss: 0, leftOut: undefined }[ties]
  const counted = outcomes.flatMap((each, i) => {
    const value = each === "tie" ? tie : each
    return value === undefined || value === "unparsable" ? [] : [{ value, contest: contests[i]! }]
  })
  if (counted.length === 0) return undefined
  const values = Float64Array.from(counted, ({ value }) => value)
  const { high, low } = interval(values)
  return {
    winRate: values.reduce((a, b) => a + b, 0) / values.length,
    winRateLow: low,
    winRateHigh: high,
    winRateControlled: controlled(values, lengthFeature(counted.map(({ contest }) => contest))),
    winRateTies: outcomes.filter((each) => each === "tie").length,
    winRateUnparsable: outcomes.filter((each) => each === "unparsable").length,
    winRateJudged: values.length
  }
}
