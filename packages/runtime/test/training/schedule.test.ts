import { assert, describe, it } from "@effect/vitest"
import { recipe } from "@penchant/dsl/Recipe"
import { readFileSync } from "node:fs"
import { permutation, random } from "../../src/platform/random.ts"
import { microBatches } from "../../src/training/microBatches.ts"
import { learningRate, orderOf, snapshotSteps, stepsPerEpoch } from "../../src/training/schedule.ts"
import { pairs } from "./bigram.ts"

const { setup } = JSON.parse(
  readFileSync(new URL("../references/training.json", import.meta.url), "utf8")
) as { readonly setup: { readonly lr_per_step: ReadonlyArray<number> } }

const rates = (options: Parameters<typeof recipe>[0], steps: number) =>
  Array.from({ length: steps }, (_, step) => learningRate(recipe(options), step, steps))

describe("schedule", () => {
  it("is the peers' to the last digit: cosine over 12 steps, 2 of warm-up", () => {
    const ours = rates({ learningRate: 1e-4, schedule: "cosine", warmupRatio: 0.1 }, 12)
    ours.forEach((rate, step) => assert.closeTo(rate, setup.lr_per_step[step]!, 1e-19))
  })

  it("falls linearly to one step before 0, and starts at 0 only when there is a warm-up", () => {
    assert.deepStrictEqual(rates({ learningRate: 8, schedule: "linear", warmupRatio: 0 }, 4), [8, 6, 4, 2])
    assert.deepStrictEqual(rates({ learningRate: 8, schedule: "linear", warmupRatio: 0.5 }, 4), [0, 4, 8, 4])
    assert.deepStrictEqual(rates({ learningRate: 8, schedule: "constant", warmupRatio: 0.3 }, 4), [0, 4, 8, 8])
    // ceil: 0.1 of 11 steps is 2 steps of warm-up
    assert.deepStrictEqual(rates({ learningRate: 8, schedule: "constant", warmupRatio: 0.1 }, 11).slice(0, 3), [
      0,
      4,
      8
    ])
    assert.deepStrictEqual(rates({ learningRate: 8, schedule: "linear", warmupRatio: 1 }, 2), [0, 4])
  })

  it("counts a partial last batch", () => {
    assert.deepStrictEqual([stepsPerEpoch(96, 8), stepsPerEpoch(97, 8), stepsPerEpoch(1, 8)], [12, 13, 1])
  })

  it("spaces snapshots evenly and ends with the last step", () => {
    assert.deepStrictEqual(snapshotSteps(4, 48), [12, 24, 36, 48])
    assert.deepStrictEqual(snapshotSteps(3, 10), [4, 7, 10])
    assert.deepStrictEqual(snapshotSteps(3, 2), [1, 2, 2])
    assert.deepStrictEqual(snapshotSteps(0, 10), [])
  })
})

describe("order", () => {
  it("draws what mulberry32 draws", () => {
    const draw = random(1)
    assert.deepStrictEqual([draw(), draw(), draw()], [2693262067, 11749833, 2265367787])
  })

  it("is a permutation, the same for the same stream, another for another epoch or seed", () => {
    const order = orderOf(recipe({ seed: 3 }), 100, 0)
    assert.deepStrictEqual([...order].toSorted((a, b) => a - b), Array.from({ length: 100 }, (_, i) => i))
    assert.deepStrictEqual(orderOf(recipe({ seed: 3 }), 100, 0), order)
    assert.notDeepEqual(orderOf(recipe({ seed: 3 }), 100, 1), order)
    assert.notDeepEqual(orderOf(recipe({ seed: 4 }), 100, 0), order)
    assert.deepStrictEqual([...orderOf(recipe({ seed: 3, order: "given" }), 4, 1)], [0, 1, 2, 3])
  })

  it("puts each of 4 items in each of 4 places equally often", () => {
    const counts = Array.from({ length: 4 }, () => [0, 0, 0, 0])
    for (let seed = 0; seed < 8000; seed++) permutation(4, seed).forEach((item, at) => counts[item]![at]! += 1)
    // 2,000 expected, standard deviation 39
    for (const count of counts.flat()) assert.closeTo(count, 2000, 160)
  })
})

describe("micro-batches", () => {
  const data = pairs(7)
  const rows = (g: number) => data.offsets[g + 1]! - data.offsets[g]! - 2
  const all = Int32Array.from({ length: 7 }, (_, g) => g)
  const sizes = (counts: ReadonlyArray<number>, budget?: number) =>
    microBatches(data, all, data.sides, counts, budget).map((piece) => piece.length)

  it("takes the largest counts that the engine has", () => {
    assert.deepStrictEqual(sizes([1, 2, 4]), [4, 2, 1])
    assert.deepStrictEqual(sizes([]), [7])
    assert.deepStrictEqual(sizes([1]), [1, 1, 1, 1, 1, 1, 1])
  })

  it("keeps to the budget of rows, in order, every group once", () => {
    const pieces = microBatches(data, all, data.sides, [1, 2, 4], 20)
    assert.deepStrictEqual(pieces.flatMap((piece) => [...piece]), [...all])
    for (const piece of pieces) {
      const sum = piece.reduce((total, g) => total + rows(g), 0)
      assert.isTrue(sum <= 20 || piece.length === 1, `${[...piece]}: ${sum} rows`)
    }
    assert.deepStrictEqual(sizes([], 1), [1, 1, 1, 1, 1, 1, 1])
  })

  it("refuses a rest that the engine cannot take", () => {
    assert.throws(() => sizes([2]), "the engine takes 2 groups in a run, and 1 are left")
  })
})
