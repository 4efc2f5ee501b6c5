// Which token is chosen, by hand.
import { assert, describe, it } from "@effect/vitest"
import { choose, logProbOf } from "../../src/generation/sampling.ts"
import { random } from "../../src/platform/random.ts"

const row = Float32Array.of(1, 3, 2, -1)
const none = (): number => {
  throw new Error("greedy draws nothing")
}
/** A draw of this fraction of 1. */
const at = (fraction: number) => () => Math.min(2 ** 32 - 1, Math.floor(fraction * 2 ** 32))
/** Tokens that are ever chosen, over many draws. */
const reached = (sampling: Parameters<typeof choose>[1]) => {
  const draw = random(1)
  return [...new Set(Array.from({ length: 2000 }, () => choose(row, sampling, [], draw)))].toSorted()
}

describe("choose", () => {
  it("greedy takes the first of the largest", () => {
    assert.strictEqual(choose(row, { temperature: 0 }, [], none), 1)
    assert.strictEqual(choose(Float32Array.of(0, 5, 5), { temperature: 0 }, [], none), 1)
  })

  it("the penalty divides positive logits and multiplies negative ones", () => {
    // 3 / 2 = 1.5 < 2
    assert.strictEqual(choose(row, { temperature: 0, repetitionPenalty: 2 }, [1], none), 2)
    // -1 * 2 = -2 < -1.5
    assert.strictEqual(choose(Float32Array.of(-1, -1.5), { temperature: 0, repetitionPenalty: 2 }, [0], none), 1)
  })

  it("draws by probability, in id order", () => {
    // weights e^-2, 1, e^-1, e^-4 of their sum 1.52153
    const weights = [Math.exp(-2), 1, Math.exp(-1), Math.exp(-4)]
    const total = weights.reduce((a, b) => a + b, 0)
    const ends = weights.map((_, i) => weights.slice(0, i + 1).reduce((a, b) => a + b, 0) / total)
    const pick = (fraction: number) => choose(row, { temperature: 1 }, [], at(fraction))
    assert.strictEqual(pick(0), 0)
    for (const i of [0, 1, 2]) {
      assert.strictEqual(pick(ends[i]! - 1e-6), i)
      assert.strictEqual(pick(ends[i]! + 1e-6), i + 1)
    }
    assert.strictEqual(pick(1), 3)
  })

  it("temperature 2 takes the square root of the odds", () => {
    const draw = random(7)
    const draws = 20_000
    let ones = 0
    for (let i = 0; i < draws; i++) ones += choose(Float32Array.of(0, 2), { temperature: 2 }, [], draw)
    // e / (1 + e) = 0.7311, standard deviation 0.0031
    assert.closeTo(ones / draws, 0.7311, 0.0125)
  })

  it("top-k, top-p and min-p leave what they say", () => {
    assert.deepStrictEqual(reached({ temperature: 1, topK: 2 }), [1, 2])
    // probabilities 0.0889 0.6572 0.2418 0.0120
    assert.deepStrictEqual(reached({ temperature: 1, topP: 0.65 }), [1])
    assert.deepStrictEqual(reached({ temperature: 1, topP: 0.66 }), [1, 2])
    assert.deepStrictEqual(reached({ temperature: 1, topP: 0.95 }), [0, 1, 2])
    // shares of the likeliest: 0.1353 1 0.3679 0.0183
    assert.deepStrictEqual(reached({ temperature: 1, minP: 0.13 }), [0, 1, 2])
    assert.deepStrictEqual(reached({ temperature: 1, minP: 0.14 }), [1, 2])
  })

  it("tokens that tie with the k-th stay, as in transformers", () => {
    const tied = Float32Array.of(1, 1, 1, 0)
    const draw = random(3)
    const seen = new Set(Array.from({ length: 500 }, () => choose(tied, { temperature: 1, topK: 1 }, [], draw)))
    assert.deepStrictEqual([...seen].toSorted(), [0, 1, 2])
  })
})

it("log-probability of a token, without overflow", () => {
  assert.closeTo(logProbOf(row, 2), 2 - Math.log(Math.exp(1) + Math.exp(3) + Math.exp(2) + Math.exp(-1)), 1e-12)
  assert.closeTo(logProbOf(Float64Array.of(1000, 1000), 0), -Math.log(2), 1e-12)
})
