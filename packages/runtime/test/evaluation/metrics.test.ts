import { assert, describe, it } from "@effect/vitest"
import type { TokenGroups } from "../../src/compute/Batch.ts"
import { interval } from "../../src/evaluation/bootstrap.ts"
import { judge, metrics } from "../../src/evaluation/metrics.ts"
import { below, random } from "../../src/platform/random.ts"

/** Answers as their log-probabilities per token: [chosen, rejected] of each pair. */
type Answer = ReadonlyArray<number>
const dataOf = (pairs: ReadonlyArray<readonly [Answer, Answer]>): readonly [TokenGroups, Float64Array] => {
  const lengths = pairs.flatMap(([chosen, rejected]) => [chosen.length, rejected.length])
  const offsets = pairs.map((_, g) => lengths.slice(0, 2 * g).reduce((sum, n) => sum + n, g))
  const total = lengths.reduce((sum, n) => sum + n, pairs.length)
  return [{
    tokens: new Int32Array(total),
    offsets: Int32Array.from([...offsets, total]),
    promptLength: new Int32Array(pairs.length).fill(1),
    branchLength: Int32Array.from(lengths),
    sides: ["chosen", "rejected"],
    ids: pairs.map((_, g) => String(g)),
    columns: {}
  }, Float64Array.from(pairs.flat(2))]
}
const judged = (pairs: ReadonlyArray<readonly [Answer, Answer]>) => judge(...dataOf(pairs))

// Sums: -3 > -4, -6 < -2, -2 = -2, -10 < -1. Means: -1.5 < -1, -2 = -2, -2 < -1, -1 = -1.
const model: ReadonlyArray<readonly [Answer, Answer]> = [
  [[-1, -2], [-1, -1, -1, -1]],
  [[-2, -2, -2], [-2]],
  [[-2], [-1, -1]],
  [Array.from({ length: 10 }, () => -1), Array.from({ length: 9 }, (_, i) => (i === 0 ? -1 : 0))]
]
const start: ReadonlyArray<readonly [Answer, Answer]> = [
  [[-3, -3], [-1, -1, -1, -1]],
  [[-2, -2, -2], [-2]],
  [[-2], [-1, -2]],
  [Array.from({ length: 10 }, () => -2), Array.from({ length: 9 }, () => -1)]
]

describe("metrics of pairs", () => {
  it("counts by sums and by means, ties a half, beside what length alone would say", () => {
    const { preferenceAccuracyHigh, preferenceAccuracyLow, ...rest } = metrics.preferenceAccuracy(
      judged(model),
      undefined
    )
    assert.deepStrictEqual(rest, {
      preferenceAccuracy: (1 + 0 + 0.5 + 0) / 4,
      // the last pair: -1 against -1/9
      preferenceAccuracyMean: (0 + 0.5 + 0 + 0) / 4,
      shorterWins: (1 + 0 + 1 + 0) / 4,
      // 10 and 9 tokens differ by 10 %; 1 and 2 by half
      lengthMatchedAccuracy: 0,
      lengthMatchedPairs: 1
    })
    assert.isTrue(preferenceAccuracyLow! >= 0 && preferenceAccuracyLow! < 0.375)
    assert.isTrue(preferenceAccuracyHigh! > 0.375 && preferenceAccuracyHigh! <= 1)
  })

  it("compares with another model pair by pair", () => {
    // start: -6 < -4, -6 < -2, -2 > -3, -20 < -9
    const numbers = metrics.preferenceAccuracy(judged(model), judged(start))
    assert.closeTo(numbers["accuracyChange"]!, (1 + 0 - 0.5 + 0) / 4, 1e-15)
    assert.isTrue(numbers["accuracyChangeLow"]! <= 0.125 && numbers["accuracyChangeHigh"]! >= 0.125)
  })

  it("gives log-probabilities per token, and their changes", () => {
    const [ours, theirs] = [judged(model), judged(start)]
    const chosen = [-1.5, -2, -2, -1]
    const rejected = [-1, -2, -1, -1 / 9]
    const mean = (values: ReadonlyArray<number>) => values.reduce((a, b) => a + b) / values.length
    assert.deepStrictEqual(metrics.chosenLogProb(ours, undefined), { chosenLogProb: mean(chosen) })
    const { chosenChangeHigh, chosenChangeLow, ...chosenNumbers } = metrics.chosenLogProb(ours, theirs)
    assert.deepStrictEqual(chosenNumbers, { chosenLogProb: mean(chosen), chosenChange: mean([1.5, 0, 0, 1]) })
    // Means of four draws of 1.5, 0, 0 and 1.
    assert.isTrue(chosenChangeLow! >= 0 && chosenChangeLow! < 0.625)
    assert.isTrue(chosenChangeHigh! > 0.625 && chosenChangeHigh! <= 1.5)
    const changed = metrics.rejectedLogProb(ours, theirs)
    assert.closeTo(changed["rejectedLogProb"]!, mean(rejected), 1e-15)
    assert.closeTo(changed["rejectedChange"]!, mean([0, 0, 0.5, 8 / 9]), 1e-15)
    const margin = metrics.margin(ours, theirs)
    assert.closeTo(margin["margin"]!, mean(chosen.map((value, i) => value - rejected[i]!)), 1e-15)
    assert.closeTo(margin["marginChange"]!, mean([1.5, 0, -0.5, 1 - 8 / 9]), 1e-15)
  })

  it("says a coin's accuracy when no pair has nearly equal lengths", () => {
    const numbers = metrics.preferenceAccuracy(judged([[[-1], [-1, -1]]]), undefined)
    assert.deepStrictEqual([numbers["lengthMatchedAccuracy"], numbers["lengthMatchedPairs"]], [0.5, 0])
  })

  it("needs both sides", () => {
    const [data, logProbs] = dataOf(model)
    assert.throws(() => judge({ ...data, sides: ["chosen", "other"] }, logProbs), `needs the side "rejected"`)
  })
})

describe("bootstrap", () => {
  it("is the normal interval where that holds: 400 coin flips of 0.7", () => {
    const draw = random(5)
    const flips = Float64Array.from({ length: 400 }, () => (below(10, draw) < 7 ? 1 : 0))
    const share = flips.reduce((a, b) => a + b) / 400
    const half = 1.96 * Math.sqrt(share * (1 - share) / 400)
    const { high, low } = interval(flips)
    assert.closeTo(low, share - half, 0.006)
    assert.closeTo(high, share + half, 0.006)
  })

  it("is the same every time, and a point for equal values", () => {
    const values = Float64Array.from({ length: 50 }, (_, i) => Math.sin(i))
    assert.deepStrictEqual(interval(values), interval(values))
    assert.deepStrictEqual(interval(new Float64Array(9).fill(0.25)), { low: 0.25, high: 0.25 })
  })

  it("is narrower when models are compared pair by pair than the two models' own intervals say", () => {
    const draw = random(6)
    const start = Float64Array.from({ length: 200 }, () => below(2, draw))
    const better = start.map((value) => (value === 0 && below(10, draw) === 0 ? 1 : value))
    const paired = interval(better.map((value, i) => value - start[i]!))
    const [a, b] = [interval(start), interval(better)]
    assert.isBelow(paired.high - paired.low, (a.high - a.low + b.high - b.low) / 3)
    assert.isAbove(paired.low, 0)
  })
})
