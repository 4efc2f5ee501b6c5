// Benchmarks as metrics: what a pipeline says of them, against what lm-eval answered for the same questions.
import { assert, describe, it } from "@effect/vitest"
import { benchmark, type TaskName } from "@penchant/dsl/Benchmark"
import { Dataset } from "@penchant/dsl/Dataset"
import { evaluate } from "@penchant/dsl/Evaluation"
import { sha256 } from "@penchant/dsl/Identity"
import { Model } from "@penchant/dsl/Model"
import { parseReference } from "@penchant/dsl/Reference"
import type { AnyStep } from "@penchant/dsl/Step"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { layer } from "../../src/compute/Engines.ts"
import { ask } from "../../src/evaluation/tasks/documents.ts"
import { pooled, type Results } from "../../src/evaluation/tasks/results.ts"
import { tasks } from "../../src/evaluation/tasks/tasks.ts"
import { Progress } from "../../src/platform/Progress.ts"
import { readJson, references, stories } from "../compute/fixtures.ts"
import { executor } from "../steps/executor.ts"
import { scratch } from "../training/scratch.ts"

const stored = readJson(new URL("lm-eval/rows.json", references))
const goldens = fs.readFileSync(new URL("lm-eval/stories260K.jsonl", references), "utf8")
  .trim().split("\n").map((line) => JSON.parse(line))
const base = Model.named("stories260K", { dir: fileURLToPath(stories) })
const rows = (task: string) => Dataset.inline<any>(stored[task])

const accuracies = (task: string, first: number): ReadonlyArray<number> =>
  goldens.filter((golden) => golden.task === task).slice(0, first).map(({ metrics }) => metrics["acc_norm,none"])
const mean = (values: ReadonlyArray<number>) => values.reduce((a, b) => a + b, 0) / values.length

describe("benchmarks in a pipeline", () => {
  it.live("give lm-eval's numbers, by task and by group, of the first questions", () =>
    Effect.gen(function*() {
      const { run } = executor(yield* scratch)
      const done = yield* run(evaluate(base, [
        benchmark.bbh({
          snarks: rows("leaderboard_bbh_snarks"),
          date_understanding: rows("leaderboard_bbh_date_understanding")
        }, { first: 5 }),
        benchmark.musr({ murder_mysteries: rows("leaderboard_musr_murder_mysteries") })
      ]))
      const all = ["snarks", "date_understanding"].map((task) => accuracies(`leaderboard_bbh_${task}`, 5))
      const meta = done.meta as Record<string, number>
      assert.closeTo(meta["bbh"]!, mean(all.flat()), 1e-12)
      assert.deepStrictEqual([meta["bbhQuestions"], meta["bbhRows"], meta["bbhUnknown"]], [10, 24, 0])
      assert.deepStrictEqual([meta["musrQuestions"], meta["musrRows"], meta["musrCut"]], [5, 5, 5])
      assert.closeTo(meta["musr"]!, mean(accuracies("leaderboard_musr_murder_mysteries", 5)), 1e-12)

      const results = JSON.parse(fs.readFileSync(done.files["results.json"]!, "utf8")) as Results
      assert.closeTo(results.results["leaderboard_bbh_snarks"]!["acc_norm,none"]!, mean(all[0]!), 1e-12)
      // With five questions of each task the pooled variance is the mean of both.
      const errors = ["snarks", "date_understanding"].map((task) =>
        results.results[`leaderboard_bbh_${task}`]!["acc_norm_stderr,none"]!
      )
      const pooledError = Math.sqrt((errors[0]! ** 2 + errors[1]! ** 2) / 4)
      assert.closeTo(results.results["leaderboard_bbh"]!["acc_norm_stderr,none"]!, pooledError, 1e-12)
      assert.deepStrictEqual(results.group_subtasks!["leaderboard_bbh"]!.toSorted(), [
        "leaderboard_bbh_date_understanding",
        "leaderboard_bbh_snarks"
      ])
      assert.deepStrictEqual(results["n-samples"]["leaderboard_bbh_snarks"], { original: 12, effective: 5 })
      // As lm-eval 0.4.13 says them of a group.
      const { sample_count, sample_len } = results.results["leaderboard_bbh"]!
      assert.deepStrictEqual([sample_len, sample_count], [10, { "acc_norm,none": 10 }])
      assert.deepStrictEqual(
        [results.versions["leaderboard_bbh"], results.versions["leaderboard_bbh_snarks"], results["n-shot"]],
        ["N/A", 1, {
          leaderboard_bbh: 3,
          leaderboard_bbh_date_understanding: 3,
          leaderboard_bbh_snarks: 3,
          leaderboard_musr_murder_mysteries: 0,
          leaderboard_musr: 0
        }]
      )
      assert.deepStrictEqual(results.higher_is_better["leaderboard_musr"], { acc_norm: true })
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(layer("onnx", { threads: 2 }), Progress.silent))), 30_000)

  it.live("leave their questions as lm-eval's sample files have them", () =>
    Effect.gen(function*() {
      const asked = goldens.filter((each) => each.task === "gsm8k" && each.num_fewshot === 0)
      const { run } = executor(yield* scratch)
      const task = benchmark.gsm8k(rows("gsm8k"), { shots: 0, first: 2 }).on(base as never)
      const { files } = yield* run(task)
      const samples = fs.readFileSync(files["samples.jsonl"]!, "utf8").trim().split("\n").map((line) =>
        JSON.parse(line)
      )
      // One line per question and filter.
      assert.deepStrictEqual(samples.map(({ doc_id, filter }) => `${doc_id} ${filter}`), [
        "0 strict-match",
        "0 flexible-extract",
        "1 strict-match",
        "1 flexible-extract"
      ])
      for (const sample of samples) {
        const { context, filtered, metrics, response } = asked[sample.doc_id]
        assert.strictEqual(sample.prompt_hash, sha256(context))
        assert.deepStrictEqual([sample.resps, sample.filtered_resps], [[[response]], [filtered[sample.filter]]])
        assert.deepStrictEqual(sample.metrics, ["exact_match"])
        assert.strictEqual(sample.exact_match, metrics[`exact_match,${sample.filter}`])
        assert.deepStrictEqual(sample.arguments["gen_args_0"].arg_1.max_gen_toks, 256)
      }
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(layer("onnx", { threads: 2 }), Progress.silent))), 30_000)

  it.live("refuse rows of another schema by file, row and field", () =>
    Effect.gen(function*() {
      const directory = yield* scratch
      const file = path.join(directory, "gsm8k.jsonl")
      fs.writeFileSync(file, `{"question":"q","answer":"#### 1"}\n{"question":"q"}\n`)
      const { run } = executor(path.join(directory, "home"))
      const data = { ...Dataset.inline<any>([{ question: "q", answer: "#### 1" }, { question: "q" }]), title: file }
      const failed = yield* Effect.flip(run(evaluate(base, [benchmark.gsm8k(data, { shots: 0 })])))
      assert.strictEqual(failed._tag, "BadRow")
      assert.include(failed.message, `${file}, row 1, field "answer"`)
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(layer("reference"), Progress.silent))))
})

describe("rows of the Hub", () => {
  it("are those that lm-eval 0.4.13 reads: repository, config, split, and the split of worked examples", () => {
    const expected = readJson(new URL("lm-eval/datasets.json", references))
    const metrics = Object.values(benchmark).map((word) => word.hub())
    const steps = metrics.flatMap((metric) => {
      const step: AnyStep = metric.on(base as never)
      const asked = step.kind === "benchmark" ? [step] : Object.values(step.inputs)
      return asked.map((each) => (each.kind === "mathEquivalence" ? each.inputs["asked"]! : each))
    })
    assert.deepStrictEqual(
      steps.map(({ parameters }) => (parameters as { readonly task: string }).task).toSorted(),
      Object.keys(tasks).toSorted()
    )
    for (const { inputs, parameters } of steps) {
      const { task } = parameters as { readonly task: TaskName }
      const read = (name: string) => parseReference(inputs[name]!.sources["hub"]!)!
      const { config: named, repo, split } = read("data")
      assert.isDefined(expected[task], `${task} has no line in lm-eval/datasets.json`)
      const [id, config, asked, shots] = expected[task]
      assert.deepStrictEqual([repo, named ?? null, split], [`datasets/${id}`, config, asked], task)
      const { count, fixed } = tasks[task].shots
      const drawn = fixed === undefined && count > 0
      // A task of no examples may still say where some would come from.
      if (count > 0) assert.strictEqual(inputs["shotData"] !== undefined, drawn, task)
      if (inputs["shotData"] !== undefined) {
        assert.deepStrictEqual(read("shotData"), { ...read("data"), split: shots }, task)
      }
    }
  })
})

describe("a group", () => {
  it("weighs tasks by their questions", () => {
    const results = {
      results: { a: { "acc,none": 0.5, "acc_stderr,none": 0.1 }, b: { "acc,none": 1, "acc_stderr,none": 0 } },
      "n-samples": { a: { original: 30, effective: 30 }, b: { original: 10, effective: 10 } }
    } as unknown as Results
    const numbers = pooled(results, "acc,none")
    assert.closeTo(numbers["acc,none"]!, 25 / 40, 1e-15)
    // (29 * 0.01 * 30) / 38 / 40
    assert.closeTo(numbers["acc_stderr,none"]!, Math.sqrt(8.7 / 38 / 40), 1e-15)
  })
})

describe("a chat template", () => {
  const row = { input: "1?", target: "(A)" }
  const asked = (turns: boolean) => {
    const seen: Array<unknown> = []
    const rendered = ask(tasks.leaderboard_bbh_snarks, [row], {
      shots: 1,
      chat: { turns, render: (messages) => (seen.push(...messages), Result.succeed("text")) }
    })
    assert.strictEqual(Result.getOrThrow(rendered)[0]!.context, "text")
    return seen as ReadonlyArray<{ readonly role: string; readonly content: string }>
  }
  it("has worked examples as turns, or all in one", () => {
    const { description, shots: { fixed } } = tasks.leaderboard_bbh_snarks
    const [shot] = fixed!
    const system = { role: "system", content: description as string }
    assert.deepStrictEqual(asked(true), [
      system,
      { role: "user", content: `Q: ${shot.input}\nA:` },
      { role: "assistant", content: shot.target },
      { role: "user", content: "Q: 1?\nA:" }
    ])
    assert.deepStrictEqual(asked(false), [
      system,
      { role: "user", content: `Q: ${shot.input}\nA: ${shot.target}\n\nQ: 1?\nA:` }
    ])
  })
})
