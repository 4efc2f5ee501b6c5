// From verdicts to a win rate: order, ties, what could not be read, and what length has to do with it. Plain functions.
import { seed } from "@penchant/dsl/Identity"
import { interval } from "../bootstrap.ts"
import type { Numbers } from "../metrics.ts"
import { lengthControlled } from "./lengthControlled.ts"

/** A prompt with the model's answer and the other one. */
export interface Contest {
  readonly id: string
  readonly prompt: string
  readonly own: string
  readonly other: string
  /** Of the instruction, where it is known. */
  readonly difficulty?: number
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
    winRateControlled: lengthControlled(
      values,
      Float64Array.from(counted, ({ contest: { other, own } }) => Array.from(own).length - Array.from(other).length),
      counted.every(({ contest }) => contest.difficulty !== undefined)
        ? Float64Array.from(counted, ({ contest }) => contest.difficulty!)
        : undefined
    ),
    winRateTies: outcomes.filter((each) => each === "tie").length,
    winRateUnparsable: outcomes.filter((each) => each === "unparsable").length,
    winRateJudged: values.length
  }
}
