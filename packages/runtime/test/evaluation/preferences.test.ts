// Calibration, length bias, slices and divergence against numbers worked by hand; the divergence also on a real model, whose
// samples it is estimated from.
import { assert, describe, it } from "@effect/vitest"
import { Dataset } from "@penchant/dsl/Dataset"
import { Model } from "@penchant/dsl/Model"
import { normalise } from "@penchant/dsl/Normalise"
import { accuracyBy, sequenceKl } from "@penchant/dsl/PreferenceMetrics"
import { tokenise } from "@penchant/dsl/Tokenise"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import type { TokenGroups } from "../../src/compute/Batch.ts"
import { layer } from "../../src/compute/Engines.ts"
import { calibrationOf, lengthBiasOf } from "../../src/evaluation/bias.ts"
import { divergenceOf } from "../../src/evaluation/divergence.ts"
import { slicesOf, turnsOf } from "../../src/evaluation/slices.ts"
import { Progress } from "../../src/platform/Progress.ts"
import { stories } from "../compute/fixtures.ts"
import { executor } from "../steps/executor.ts"
import { scratch } from "../training/scratch.ts"

/** The numbers that are expected, and those there are, to twelve digits. */
const both = (numbers: Readonly<Record<string, number>>, expected: Readonly<Record<string, number>>) => {
  const digits = (value: number | undefined) => Number(value?.toFixed(12)) + 0
  const names = Object.keys(expected)
  return [
    names.map((name) => [name, digits(numbers[name])]),
    names.map((name) => [name, digits(expected[name])])
  ] as const
}

/** Groups of given lengths of prompt and answers. */
const groups = (
  lengths: ReadonlyArray<readonly [number, number, number]>,
  ids = lengths.map((_, i) => `${i}`)
): TokenGroups => ({
  tokens: new Int32Array(lengths.flat().reduce((a, b) => a + b, 0)),
  offsets: Int32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).flat().reduce((a, b) => a + b, 0))]),
  promptLength: Int32Array.from(lengths, ([prompt]) => prompt),
  branchLength: Int32Array.from(lengths.flatMap(([, a, b]) => [a, b])),
  sides: ["chosen", "rejected"],
  ids,
  columns: { margin: Float64Array.from(lengths, (_, i) => i % 2) }
})

describe("calibration", () => {
  it("is the gap between how sure and how right, by bins of confidence", () => {
    // Confidences 0.9 right, 0.92 wrong, in one bin; 0.6 right alone.
    assert.deepStrictEqual(...both(calibrationOf(Float64Array.of(0.9, 0.08, 0.6)), {
      calibrationError: (Math.abs(1 - 0.9 - 0.92) + Math.abs(1 - 0.6)) / 3,
      brierScore: (0.01 + 0.92 ** 2 + 0.16) / 3
    }))
    assert.deepStrictEqual(...both(calibrationOf(Float64Array.of(0.5, 0.5)), { calibrationError: 0, brierScore: 0.25 }))
    assert.deepStrictEqual(...both(calibrationOf(Float64Array.of(1, 1, 1)), { calibrationError: 0, brierScore: 0 }))
  })
})

describe("length bias", () => {
  it("counts preferred and chosen longer answers, and correlates margins with lengths", () => {
    // Longer chosen in 2 of 3; longer preferred in 2 of 3; the pair of equal lengths says nothing of either.
    const numbers = lengthBiasOf(Float64Array.of(1, -1, -1, 5), Float64Array.of(4, 2, -2, 0))
    assert.deepStrictEqual(...both(numbers, { longerPreferred: 2 / 3, longerChosen: 2 / 3 }))
    // Margins less 1: 0 -2 -2 4; lengths less 1: 3 1 -3 -1.
    assert.deepStrictEqual(...both(numbers, { marginLengthCorrelation: (-2 + 6 - 4) / Math.sqrt(24 * 20) }))
    assert.deepStrictEqual(
      ...both(lengthBiasOf(Float64Array.of(1, 2), Float64Array.of(3, 6)), { marginLengthCorrelation: 1 })
    )
    assert.deepStrictEqual(...both(lengthBiasOf(Float64Array.of(1, 1), Float64Array.of(0, 0)), {
      longerPreferred: 0.5,
      marginLengthCorrelation: 0
    }))
  })
})

describe("slices", () => {
  const four = groups([[1, 9, 1], [1, 1, 1], [3, 3, 3], [9, 9, 9]], ["hh/a", "hh/b", "uf/a", "uf/b"])
  const slices = (by: Parameters<typeof slicesOf>[0], prompts: ReadonlyArray<string> = []) =>
    slicesOf(
      by,
      four,
      prompts.map((prompt, i) => ({ id: four.ids[i]!, prompt, chosen: "", rejected: "", columns: {} })),
      "file"
    )
  it("go by length, turns, source and column", () => {
    assert.deepStrictEqual(Result.getOrThrow(slices("length")), {
      accuracyLength1: [1],
      accuracyLength2: [2],
      accuracyLength3: [0],
      accuracyLength4: [3]
    })
    const human = "\n\nHuman: hi\n\nAssistant:"
    assert.deepStrictEqual(Result.getOrThrow(slices("turns", [human, human + human, human.repeat(7), "no turns"])), {
      accuracyTurns1: [0, 3],
      accuracyTurns2: [1],
      accuracyTurns3: [2]
    })
    assert.strictEqual(turnsOf({ prompt: [{ role: "system", content: "" }, { role: "user", content: "" }] }), 1)
    assert.deepStrictEqual(Result.getOrThrow(slices("source")), { "accuracy[hh]": [0, 1], "accuracy[uf]": [2, 3] })
    assert.deepStrictEqual(Result.getOrThrow(slices({ column: "margin" })), {
      "accuracy[margin=0]": [0, 2],
      "accuracy[margin=1]": [1, 3]
    })
  })

  it("refuse a column that is not there, and rows without a source", () => {
    const problem = (result: Result.Result<unknown, Error>) => Result.isFailure(result) ? result.failure.message : ""
    assert.match(problem(slices({ column: "score" })), /no column "score".*there is margin/)
    assert.match(problem(slicesOf("source", groups([[1, 1, 1]]), [], "file")), /row 0 names no source/)
  })
})

describe("divergence", () => {
  it("is the mean log-ratio of whole answers", () => {
    // Two prompts with two answers each: log-ratios 1, 3 and -1, 0.
    const data = groups([[1, 2, 1], [1, 1, 2]])
    const model = Float64Array.of(-1, -1, -1, -2, -1, -1)
    const reference = Float64Array.of(-1.5, -1.5, -4, -1, -0.5, -1.5)
    assert.deepStrictEqual(
      ...both(divergenceOf(data, model, reference), { sequenceKl: (2 - 0.5) / 2, sequenceKlPerToken: 3 / 6 })
    )
  })

  it.live("is zero to the model itself; what was sampled is kept as text", () =>
    Effect.gen(function*() {
      const { run } = executor(yield* scratch)
      const base = Model.named("stories260K", { dir: fileURLToPath(stories) })
      const pairs = Array.from({ length: 6 }, (_, i) => ({
        prompt: `Once upon a time there were ${i} dogs.`,
        chosen: ` They ran home${" again".repeat(i)}.`,
        rejected: ` They sat in the sun${" and ate".repeat(5 - i)}.`
      }))
      const data = tokenise(normalise.plain(Dataset.inline(pairs)), base, { maxLength: 64 })
      const kl = sequenceKl(data, { reference: base, maxTokens: 8, samples: 2, first: 4 }).on(base as never)
      assert.deepStrictEqual(...both((yield* run(kl)).meta as Record<string, number>, {
        sequenceKl: 0,
        sequenceKlLow: 0,
        sequenceKlHigh: 0
      }))
      const parts = (yield* run(accuracyBy("turns")(data).on(base as never))).meta as Record<string, number>
      assert.deepStrictEqual(Object.keys(parts), [
        "accuracyTurns1",
        "accuracyTurns1Low",
        "accuracyTurns1High",
        "accuracyTurns1Pairs"
      ])
      assert.strictEqual(parts["accuracyTurns1Pairs"], 6)
      // What was sampled can be read, and is what was asked for.
      const own = yield* run(kl.inputs["data"]!)
      const answers = fs.readFileSync(own.files["answers.jsonl"]!, "utf8").trim().split("\n").map((l) => JSON.parse(l))
      assert.deepStrictEqual([answers.length, answers[0].answers.length], [4, 2])
      assert.include(answers[1].prompt, "there were 1 dogs")
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(layer("onnx", { threads: 2 }), Progress.silent))), 30_000)
})
