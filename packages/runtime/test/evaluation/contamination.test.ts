// Questions of a benchmark that training has seen are found by what is built of both, and said in the table.
import { assert, describe, it } from "@effect/vitest"
import { benchmark } from "@penchant/dsl/Benchmark"
import { Dataset } from "@penchant/dsl/Dataset"
import { evaluate } from "@penchant/dsl/Evaluation"
import { Model } from "@penchant/dsl/Model"
import { normalise } from "@penchant/dsl/Normalise"
import { tokenise } from "@penchant/dsl/Tokenise"
import { train } from "@penchant/dsl/Train"
import { dpo, sft } from "@penchant/objectives"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import { layer } from "../../src/compute/Engines.ts"
import { Progress } from "../../src/platform/Progress.ts"
import { benchmarksOf } from "../../src/report/statements.ts"
import { executor } from "../steps/executor.ts"
import { scratch } from "../training/scratch.ts"

const question = "Tom has three red apples and buys four more green ones at the old market. How many has he now?"
const questions = Dataset.inline([
  { question, answer: "3 + 4 = 7\n#### 7" },
  {
    question: "A wholly different question about eleven trains that leave two towns at the same time of day?",
    answer: "#### 1"
  },
  { question: "Too short?", answer: "#### 2" }
])
const pairs = (prompt: string) => normalise.plain(Dataset.inline([{ prompt, chosen: " Seven.", rejected: " Eight." }]))
const base = Model.named("stories260K", { dir: "data/models/stories260K" })
const clean = tokenise(pairs("Name three animals."), base, { maxLength: 99 })
const seen = tokenise(pairs(question.toUpperCase()), base, { maxLength: 99 })
const start = sft({ model: base, data: seen })
const metrics = [benchmark.gsm8k(questions, { shots: 0 })] as const

describe("contamination", () => {
  it("is looked for in all that a model was trained on, and of no other model", () => {
    const kinds = (scores: { readonly inputs: object }) => Object.keys(scores.inputs)
    assert.deepStrictEqual(kinds(evaluate(base, metrics)), ["gsm8k"])
    const scores = evaluate(train(dpo(), { model: start, data: clean }), metrics)
    assert.deepStrictEqual(kinds(scores), ["gsm8k", "contamination/gsm8k"])
    assert.deepStrictEqual(kinds(scores.inputs["contamination/gsm8k"]!), ["training/0", "training/1", "against/gsm8k"])
  })

  it("has a benchmark once in an evaluation", () => {
    assert.throws(() => evaluate(base, [...metrics, ...metrics]), /two metrics are called gsm8k/)
  })

  it.live("lists the questions and the training rows, and warns", () =>
    Effect.gen(function*() {
      const { run } = executor(yield* scratch)
      const of = (data: typeof seen) =>
        run(evaluate(train(dpo(), { model: base, data }), metrics).inputs["contamination/gsm8k"]!)
      const found = yield* of(seen)
      assert.deepStrictEqual(found.meta, { gsm8kContaminated: 1 })
      assert.deepStrictEqual(JSON.parse(fs.readFileSync(found.files["contamination.json"]!, "utf8")), {
        words: 13,
        questions: 3,
        tooShort: 1,
        contaminated: 1,
        found: { "gsm8k/0": ["0"] }
      })
      assert.deepStrictEqual((yield* of(clean)).meta, { gsm8kContaminated: 0 })
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(layer("reference"), Progress.silent))))

  it("is said in every table", () => {
    const scores = { gsm8k: 1, gsm8kQuestions: 2, gsm8kRows: 3, gsm8kCut: 0, gsm8kUnknown: 0, gsm8kContaminated: 1 }
    const said = benchmarksOf({ models: [{ label: "m", scores }], runs: [] } as never)
    assert.strictEqual(
      said,
      "Warning: 1 of the 3 questions of gsm8k have 13 words in a row that training data has."
    )
  })
})
