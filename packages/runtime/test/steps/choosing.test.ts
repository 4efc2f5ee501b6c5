// The steps that choose among pairs, from inline rows to what they leave and what they say they dropped.
import { afterAll, assert, describe, it } from "@effect/vitest"
import { decontaminate, dedupe } from "@penchant/dsl/Clean"
import { Dataset, HhRow } from "@penchant/dsl/Dataset"
import { preferenceAccuracy } from "@penchant/dsl/Evaluation"
import { mix } from "@penchant/dsl/Mix"
import { Model } from "@penchant/dsl/Model"
import { labelNoise } from "@penchant/dsl/Noise"
import { normalise } from "@penchant/dsl/Normalise"
import { UltraFeedbackRow } from "@penchant/dsl/Row"
import { parts, sample, split } from "@penchant/dsl/Split"
import type { AnyStep } from "@penchant/dsl/Step"
import { tokenise } from "@penchant/dsl/Tokenise"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as fs from "node:fs"
import * as path from "node:path"
import { layer } from "../../src/compute/Engines.ts"
import { Progress } from "../../src/platform/Progress.ts"
import { scratch } from "../training/scratch.ts"
import { executor } from "./executor.ts"

const rows = Array.from(
  { length: 400 },
  (_, i) => ({ prompt: `question ${i}`, chosen: ` good ${i}`, rejected: ` bad ${i}` })
)
const pairs = normalise.plain(Dataset.inline(rows))

/** One engine for all, which these steps never ask. */
const runtime = ManagedRuntime.make(Layer.merge(layer("reference"), Progress.silent))
afterAll(() => runtime.dispose())

/** The pairs that a step leaves, and its report. */
const made = (step: AnyStep) =>
  runtime.runPromise(
    Effect.scoped(Effect.gen(function*() {
      const { files, meta } = yield* executor(yield* scratch).run(step)
      const lines = fs.readFileSync(files["pairs.jsonl"]!, "utf8").split("\n").filter((line) => line !== "")
      const report = JSON.parse(fs.readFileSync(files["report.json"]!, "utf8")) as Record<string, any>
      assert.strictEqual((meta as { count: number }).count, lines.length)
      assert.strictEqual(report["pairs"], lines.length)
      return {
        pairs: lines.map((line) => JSON.parse(line) as Record<string, any>),
        report,
        meta: meta as Record<string, any>
      }
    }))
  )
const failure = (step: AnyStep) => made(step).then(() => "made", (error: Error) => error.message)
const ids = (of: ReadonlyArray<Record<string, any>>): ReadonlyArray<string> => of.map(({ id }) => id)

describe("labelNoise", () => {
  it("turns nested shares of the pairs round, and nothing else", async () => {
    const all = (await made(pairs)).pairs
    let before: ReadonlyArray<string> = []
    for (const rate of [0, 0.1, 0.25, 0.5, 1]) {
      const noisy = await made(labelNoise(pairs, { rate }))
      const flipped: ReadonlyArray<string> = noisy.report["flipped"]
      // Three standard deviations of a binomial of 400.
      assert.isAtMost(Math.abs(flipped.length - 400 * rate), 3 * Math.sqrt(400 * rate * (1 - rate)))
      assert.deepStrictEqual(before.filter((id) => !flipped.includes(id)), [], `${rate} holds the smaller rate`)
      before = flipped
      for (const [index, pair] of noisy.pairs.entries()) {
        const { chosen, rejected, ...rest } = all[index]!
        const turned = flipped.includes(pair["id"])
        assert.deepStrictEqual(pair, {
          ...rest,
          chosen: turned ? rejected : chosen,
          rejected: turned ? chosen : rejected
        })
      }
    }
    const other = (await made(labelNoise(pairs, { rate: 0.5, seed: 1 }))).report["flipped"]
    assert.notDeepEqual(other, (await made(labelNoise(pairs, { rate: 0.5 }))).report["flipped"])
    assert.match(await failure(labelNoise(pairs, { rate: 1.5 })), /rate 1.5 is not between 0 and 1/)
  })

  it("turns the label of single answers round", async () => {
    const liked = normalise.unpaired(
      Dataset.inline([{ prompt: "q", completion: "a", label: true }, { prompt: "r", completion: "b", label: false }])
    )
    assert.deepStrictEqual((await made(labelNoise(liked, { rate: 1 }))).pairs.map(({ columns }) => columns), [{
      label: 0
    }, { label: 1 }])
  })

  it("is refused where it would be measured on", () => {
    const noisy = labelNoise(pairs, { rate: 0.1 })
    assert.throws(() => split(noisy, { test: 0.1 }), /split first, and inject it into the training part/)
    const model = Model.dir("model")
    assert.throws(
      () =>
        preferenceAccuracy(
          tokenise(sample(pairs, 10), model, { maxLength: 8 }) && tokenise(noisy, model, { maxLength: 8 })
        ),
      /label noise/
    )
  })
})

describe("sample, split, mix", () => {
  it("report what they left", async () => {
    const drawn = await made(sample(pairs, 0.25))
    assert.deepStrictEqual([drawn.pairs.length, drawn.report["of"], drawn.report["inNoPart"]], [100, 400, 300])
    const { test, train } = parts(pairs, { test: 0.1, train: "rest" })
    const [a, b] = [await made(test), await made(train)]
    assert.deepStrictEqual([a.report["parts"], b.report["inNoPart"]], [{ test: 40, train: 360 }, 0])
    assert.deepStrictEqual(ids([...a.pairs, ...b.pairs]).toSorted(), ids((await made(pairs)).pairs).toSorted())
  })

  it("mixes by weight, without repetition, ids by source, common columns", async () => {
    const scored = normalise.plain(
      Dataset.inline(rows.slice(0, 40).map((row, margin) => Object.assign({ margin }, row))),
      {
        columns: ["margin"]
      }
    )
    const mixed = await made(mix({ all: [pairs, 3], few: [scored, 1] }))
    assert.deepStrictEqual(mixed.report["sources"], { all: { of: 400, taken: 120 }, few: { of: 40, taken: 40 } })
    assert.strictEqual(new Set(ids(mixed.pairs)).size, 160)
    assert.strictEqual(ids(mixed.pairs).filter((id) => id.startsWith("all/")).length, 120)
    assert.deepStrictEqual(mixed.pairs.at(-1)!["columns"], {})
    assert.strictEqual((await made(mix({ few: [scored, 1] }, { count: 7 }))).pairs[0]!["columns"]["margin"] >= 0, true)
    assert.match(
      await failure(mix({ all: [pairs, 1], few: [scored, 1] }, { count: 100 })),
      /need 50 of "few", which has 40/
    )
  })
})

describe("dedupe, decontaminate", () => {
  it("keep the first of what says the same, and name what it repeats", async () => {
    const twice = normalise.plain(Dataset.inline([
      { prompt: "Why  so?", chosen: "A", rejected: "b" },
      { prompt: "other", chosen: "A", rejected: "b" },
      { prompt: "why so? ", chosen: "a", rejected: " B\n" },
      { prompt: "why so?", chosen: "b", rejected: "a" }
    ]))
    const whole = await made(dedupe(twice))
    assert.deepStrictEqual([ids(whole.pairs), whole.report["repeats"]], [["0", "1", "3"], { 2: "0" }])
    assert.deepStrictEqual(whole.meta["dropped"], { "pair seen before": ["2"] })
    const prompts = await made(dedupe(twice, { by: "prompt" }))
    assert.deepStrictEqual([ids(prompts.pairs), prompts.report["repeats"]], [["0", "1"], { 2: "0", 3: "0" }])
  })

  it("leave out what an evaluation set asks", async () => {
    const words = Array.from({ length: 20 }, (_, i) => `w${i}`)
    const seen = normalise.plain(Dataset.inline([
      { prompt: `Tell me: ${words.slice(2, 15).join(" ")}?`, chosen: "a", rejected: "b" },
      { prompt: words.slice(2, 14).join(" "), chosen: "a", rejected: "b" },
      { prompt: "q", chosen: `It is ${words.slice(5).join(", ")}.`, rejected: "b" }
    ]))
    const tasks = Dataset.inline([{ question: words.join(" "), answer: "7" }, { question: "short one", answer: "8" }])
    const clean = await made(decontaminate(seen, { gsm8k: tasks }))
    assert.deepStrictEqual(ids(clean.pairs), ["1"])
    assert.deepStrictEqual(clean.report["shared"], { 0: ["gsm8k/0"], 2: ["gsm8k/0"] })
    assert.deepStrictEqual([clean.report["evaluation"], clean.report["tooShort"]], [2, 1])
    assert.deepStrictEqual(clean.meta["dropped"], { "13 words of the evaluation set": ["0", "2"] })
    assert.deepStrictEqual(ids((await made(decontaminate(seen, { gsm8k: tasks }, { fields: ["answer"] }))).pairs), [
      "0",
      "1",
      "2"
    ])
    assert.deepStrictEqual(ids((await made(decontaminate(seen, { own: seen }, { words: 5 }))).pairs), [])
    assert.match(
      await failure(decontaminate(seen, { gsm8k: tasks }, { fields: ["input"] })),
      /"gsm8k": row 0 has no text in input/
    )
  })
})

describe("rows of a folder", () => {
  const parquet = path.join(import.meta.dirname, "../references/parquet")
  it("become pairs by the files of their split", async () => {
    const { pairs, report } = await made(
      normalise.ultrafeedback(Dataset.folder(parquet, UltraFeedbackRow, { split: "test_prefs" }))
    )
    assert.deepStrictEqual([pairs.length, report["rows"], report["dropped"]], [61, 61, {}])
    assert.deepStrictEqual(pairs[0]!["columns"], { score_chosen: 1, score_rejected: 0 })
    assert.strictEqual(pairs[0]!["prompt"][0].role, "user")
  })

  it("are refused when the split has none, or a row is not what the schema says", async () => {
    assert.match(
      await failure(normalise.ultrafeedback(Dataset.folder(parquet, UltraFeedbackRow, { split: "train_prefs" }))),
      /has no files of split "train_prefs"/
    )
    assert.match(
      await failure(normalise.hh(Dataset.folder(parquet, HhRow, { split: "test_prefs" }))),
      /test_prefs-00000-of-00001.parquet, row 0, field "chosen": Expected string/
    )
  })
})
