// The comparer: on a small folder made by hand with settings of its own, where every kind of mistake must show, and on the
// peers' own numbers by every engine that is there.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { backends, type EngineName } from "../../src/compute/backends.ts"
import type { TokenGroups } from "../../src/compute/Batch.ts"
import { layer } from "../../src/compute/Engines.ts"
import { discover } from "../../src/compute/torch/discovery.ts"
import type { Tensor } from "../../src/data/safetensors.ts"
import { type Conformance, conformance } from "../../src/evaluation/conformance/conformance.ts"
import type { ReferencePair, Run, TrainingRuns } from "../../src/evaluation/conformance/references.ts"
import { recipeOf, trainingChecks } from "../../src/evaluation/conformance/training.ts"
import { Progress } from "../../src/platform/Progress.ts"
import { thorough } from "../compute/fixtures.ts"
import { bigram, engine, logProbsOf, pairs } from "../training/bigram.ts"
import { scratch } from "../training/scratch.ts"
import { byHand, definitions } from "../training/textbook.ts"

const repository = (at: string) => fileURLToPath(new URL(`../../../../${at}`, import.meta.url))

const asReference = (data: TokenGroups): ReadonlyArray<ReferencePair> =>
  data.ids.map((_, g) => {
    const start = data.offsets[g]!
    const [chosen, rejected] = [start + data.promptLength[g]!, data.offsets[g + 1]! - data.branchLength[2 * g + 1]!]
    const ids = (from: number, to: number) =>
      [...data.tokens.subarray(from, to)] as unknown as [number, ...Array<number>]
    return {
      row: g,
      prompt_ids: ids(start, chosen),
      chosen_ids: ids(chosen, rejected),
      rejected_ids: ids(rejected, data.offsets[g + 1]!)
    }
  })

/** 14 pairs in batches of 5, the last of 4; two passes; linear after 2 of 6 steps; clipped at 0.28, which some steps reach. */
const [data, heldOut] = [pairs(14, 3), pairs(3, 4)]
const setup: TrainingRuns["setup"] = {
  optimizer: { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0 },
  max_grad_norm: 0.28,
  peak_lr: 0.02,
  warmup_ratio: 0.3,
  warmup_steps: 2,
  steps: 6,
  batch_pairs: 5,
  lr_per_step: [0, 0.01, 0.02, 0.015, 0.01, 0.005]
}
const batches = [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12, 13]]

const runOf = (objective: string, params: Run["params"], name: "dpo" | "lsif" | "simpo") => {
  const { lines, model } = byHand(definitions(data)[name], [...batches, ...batches], {
    learningRate: (step) => setup.lr_per_step[step]!,
    maxGradNorm: 0.28
  })
  const after = logProbsOf(model, heldOut)
  let at = 0
  const take = (length: number) => [...after.subarray(at, at += length)]
  const run: Run = {
    objective,
    params,
    curve: lines.map(({ loss, norm }, step) => ({ loss, grad_norm: norm, lr: setup.lr_per_step[step]! })),
    heldout: heldOut.ids.map((_, g) => ({
      row: g,
      chosen: take(heldOut.branchLength[2 * g]!),
      rejected: take(heldOut.branchLength[2 * g + 1]!)
    }))
  }
  const tensor: Tensor = { dtype: "F64", shape: [12, 12], data: Float64Array.from(model.parameters) }
  return { run, tensors: { [`${objective}/bigram.weight`]: tensor } }
}

const dpo = runOf("dpo", { beta: 0.5, aggregation: "sum" }, "dpo")
const lsif = runOf("dil-lsif", { aggregation: "mean" }, "lsif")
const simpo = runOf("simpo", { beta: 2, gamma_beta_ratio: 0.25, aggregation: "mean" }, "simpo")

const compared = (runs: ReadonlyArray<Run>, tensors: Readonly<Record<string, Tensor>> | undefined, given = setup) =>
  trainingChecks(
    { model: "bigram", setup: given, training_pairs: asReference(data), heldout_pairs: asReference(heldOut), runs },
    bigram(),
    tensors
  ).pipe(Effect.provide(Layer.merge(engine({ groups: [1, 2] }), Progress.silent)))

const failed = ({ checks }: Conformance) => checks.filter(({ pass }) => !pass).map(({ name }) => name)

describe("training runs of a folder", () => {
  it.effect("agree step by step and at the end, whatever the batch, clip and warm-up", () =>
    Effect.gen(function*() {
      const tensors = { ...dpo.tensors, ...lsif.tensors, ...simpo.tensors }
      const result = yield* compared([dpo.run, lsif.run, simpo.run], tensors)
      assert.deepStrictEqual(failed(result), [])
      assert.deepStrictEqual(result.skipped, [])
      assert.deepStrictEqual(result.checks.map(({ name }) => name).slice(0, 5), [
        "training dpo: loss of 6 steps",
        "training dpo: gradient norm, relative",
        "training dpo: learning rate, relative to its peak",
        "training dpo: held-out log-probabilities",
        "training dpo: final bigram.weight"
      ])
      assert.strictEqual(result.checks.length, 15)
      assert.deepStrictEqual(result.checks[3]!.tolerance, 1e-4)
    }))

  it.effect("show each mistake where it is, and nowhere else", () =>
    Effect.gen(function*() {
      const { run, tensors } = dpo
      const curve = (step: number, change: Partial<Run["curve"][number]>): Run => ({
        ...run,
        curve: run.curve.map((line, i) => (i === step ? { ...line, ...change } : line))
      })
      const cases: ReadonlyArray<readonly [Run, string]> = [
        [curve(4, { loss: run.curve[4]!.loss + 2e-5 }), "loss of 6 steps"],
        [curve(5, { grad_norm: run.curve[5]!.grad_norm * (1 + 2e-5) }), "gradient norm, relative"],
        [curve(1, { lr: 0.0101 }), "learning rate, relative to its peak"],
        [{ ...run, curve: run.curve.slice(0, 5) }, "loss of 5 steps"],
        [
          {
            ...run,
            heldout: run.heldout.map((pair, i) => (i === 2
              ? { ...pair, rejected: pair.rejected.map((x) => x + 2e-4) }
              : pair)
            )
          },
          "held-out log-probabilities"
        ]
      ]
      for (const [broken, name] of cases) {
        const names = failed(yield* compared([broken], tensors))
        assert.include(names, `training dpo: ${name}`)
        if (broken.curve.length === 6) {
          assert.strictEqual(names.length, 1)
        }
      }
      const weight = dpo.tensors["dpo/bigram.weight"]!
      const moved = Float64Array.from(weight.data as Float64Array)
      moved[7]! += 1e-5
      const other: Tensor = { dtype: "F64", shape: [12, 12], data: moved }
      assert.deepStrictEqual(failed(yield* compared([run], { "dpo/bigram.weight": other })), [
        "training dpo: final bigram.weight"
      ])
      assert.deepStrictEqual(failed(yield* compared([run], { "dpo/no.such.weight": other })), [
        "training dpo: final no.such.weight"
      ])
      // Another clip, or another rate, is another run.
      const unclipped = failed(yield* compared([run], tensors, { ...setup, max_grad_norm: null }))
      assert.include(unclipped, "training dpo: held-out log-probabilities")
    }))

  it.effect("are skipped, never passed, when what made them is not there", () =>
    Effect.gen(function*() {
      const { run } = dpo
      const result = yield* compared([
        { ...run, objective: "orpo" },
        { ...run, params: { beta: 0.5, label_smoothing: 0.1 } },
        { ...simpo.run, params: { aggregation: "sum" } },
        run
      ], undefined)
      assert.deepStrictEqual(failed(result), [])
      assert.deepStrictEqual(result.skipped, [
        { name: "training orpo", why: `objective "orpo" is not there yet` },
        { name: "training dpo", why: `objective "dpo" has no parameter "label_smoothing"` },
        { name: "training simpo", why: "simpo is on means, the run on sums" },
        { name: "training dpo: final tensors", why: "there are none in training-final-tensors.safetensors" }
      ])
      const odd = yield* compared([run], undefined, { ...setup, steps: 5, lr_per_step: setup.lr_per_step.slice(1) })
      assert.deepStrictEqual(odd, {
        checks: [],
        skipped: [{ name: "training dpo", why: "5 steps are no whole passes over 14 pairs by 5" }]
      })
    }))

  it("are read for their schedule, horizon and warm-up", () => {
    const read = (change: Partial<typeof setup>, count = 14) => {
      const found = recipeOf({ ...setup, ...change }, count)
      if (typeof found === "string") return found
      const { recipe: { batchSize, epochs, maxGradNorm, schedule, warmupRatio }, pairs } = found
      return {
        batchSize,
        epochs,
        maxGradNorm,
        schedule: String(schedule),
        warm: Math.ceil(warmupRatio * (change.steps ?? 6)),
        pairs
      }
    }
    const plain = { batchSize: 5, epochs: 2, maxGradNorm: 0.28, schedule: "linear", warm: 2, pairs: 14 }
    assert.deepStrictEqual(read({}), plain)
    assert.deepStrictEqual(read({ lr_per_step: [0, 0.01, 0.02, 0.02, 0.02, 0.02] }), { ...plain, schedule: "constant" })
    const cosine = [0, 0.01, 0.02, 0.01 * (1 + Math.SQRT1_2), 0.01, 0.01 * (1 - Math.SQRT1_2)]
    assert.deepStrictEqual(read({ lr_per_step: cosine, max_grad_norm: null }), {
      ...plain,
      schedule: "cosine",
      maxGradNorm: 0
    })
    assert.deepStrictEqual(read({ lr_per_step: [6, 5, 4, 3, 2, 1].map((left) => 0.02 * left / 6), warmup_steps: 0 }), {
      ...plain,
      warm: 0
    })
    // Fewer steps than one pass: only the pairs they reach.
    assert.deepStrictEqual(read({}, 96), { ...plain, epochs: 1, pairs: 30 })
  })
})

describe("a folder of references", () => {
  const model = repository("data/models/stories260K")
  const stored = repository("packages/runtime/test/references")

  const run = (folder: string, name: EngineName = "reference") =>
    conformance({ folder, model }).pipe(
      Effect.provide(Layer.merge(layer(name, name === "torch" ? { threads: 1 } : {}), Progress.silent))
    )

  /** Two real pairs, the stored model, no training. */
  const part = Effect.gen(function*() {
    const folder = yield* scratch
    const logprobs = JSON.parse(fs.readFileSync(path.join(stored, "logprobs.json"), "utf8"))
    fs.writeFileSync(
      path.join(folder, "logprobs.json"),
      JSON.stringify({ ...logprobs, pairs: logprobs.pairs.slice(0, 2) })
    )
    fs.cpSync(path.join(stored, "models/llama"), path.join(folder, "models/llama"), { recursive: true })
    return folder
  })

  it.live("compares what is there and says what is not", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* part
      fs.cpSync(path.join(folder, "models/llama"), path.join(folder, "models/other"), { recursive: true })
      const config = path.join(folder, "models/other/config.json")
      const text = fs.readFileSync(config, "utf8")
      fs.writeFileSync(config, text.replace("LlamaForCausalLM", "OtherForCausalLM"))
      const objectives = repository("packages/objectives/test/references/objectives.json")
      fs.copyFileSync(objectives, path.join(folder, "objectives.json"))
      const { checks, skipped } = yield* run(folder)
      assert.deepStrictEqual(checks.filter(({ pass }) => !pass), [])
      assert.deepStrictEqual(checks.slice(0, 2).map(({ name, tolerance }) => [name, tolerance]), [
        ["token log-probabilities, 2 pairs", 1e-9],
        ["model llama, 3 sequences", 5e-5]
      ])
      const names = checks.map(({ name }) => name)
      assert.include(names, "objective paper.UKL, 2 cases, relative")
      assert.include(names, "objective trl.dpo.sigmoid, 3 cases, relative")
      assert.isTrue(skipped.some(({ name, why }) => name === "model other" && why.includes(`"OtherForCausalLM"`)))
      assert.isTrue(skipped.some(({ name, why }) => name === "training" && why.includes("training.json")))
      assert.isTrue(skipped.some(({ name }) => name === "objective trl.dpo.hinge"))
    })))

  it.live("fails where a generated token is another", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* scratch
      fs.cpSync(path.join(stored, "models"), path.join(folder, "models"), { recursive: true })
      const { models } = JSON.parse(fs.readFileSync(path.join(stored, "generation.json"), "utf8"))
      models.llama.items[1].tokens[31] += 1
      fs.writeFileSync(path.join(folder, "generation.json"), JSON.stringify({ models }))
      assert.deepStrictEqual(failed(yield* run(folder, "onnx")), [
        "generation llama: 2 greedy continuations that differ"
      ])
    })))

  it.live("fails where lm-eval answered otherwise", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* scratch
      const lines = fs.readFileSync(path.join(stored, "lm-eval/stories260K.jsonl"), "utf8").trim().split("\n")
        .map((line) => JSON.parse(line))
      const some = (task: string) => lines.filter((line) => line.task === task && line.num_fewshot === 0).slice(0, 2)
      const [story, other, sum, last] = [...some("leaderboard_musr_murder_mysteries"), ...some("gsm8k")]
      const write = () =>
        fs.writeFileSync(
          path.join(folder, "some.jsonl"),
          [story, other, sum, last].map((line) => `${JSON.stringify(line)}\n`).join("")
        )
      write()
      const right = yield* run(folder, "onnx")
      assert.deepStrictEqual([right.checks.length, failed(right)], [7, []])
      story.lls[1] += 2e-3
      other.metrics["acc_norm,none"] = 1 - other.metrics["acc_norm,none"]
      sum.filtered["flexible-extract"] = "7"
      last.response += "."
      write()
      assert.deepStrictEqual(failed(yield* run(folder, "onnx")), [
        "lm-eval leaderboard_musr_murder_mysteries, 0 shots: log-likelihoods of 4 choices",
        "lm-eval leaderboard_musr_murder_mysteries, 0 shots: acc_norm,none that differs",
        "lm-eval gsm8k, 0 shots: 2 responses that differ",
        "lm-eval gsm8k, 0 shots: answers by flexible-extract that differ"
      ])
      fs.writeFileSync(path.join(folder, "some.jsonl"), `{"task":"gsm8k"}\n`)
      assert.include((yield* Effect.flip(run(folder, "onnx"))).message, "some.jsonl, row 0")
    })))

  it.live("fails where a number is wrong, and refuses numbers of other weights", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* part
      const logprobs = path.join(folder, "logprobs.json")
      const expected = path.join(folder, "models/llama/expected.json")
      const change = (file: string, edit: (json: any) => void) => {
        const json = JSON.parse(fs.readFileSync(file, "utf8"))
        edit(json)
        fs.writeFileSync(file, JSON.stringify(json))
      }
      change(logprobs, (json) => (json.pairs[1].rejected.logps_f64[3] += 1e-8))
      change(expected, (json) => (json.sequences[2].logps[0] -= 1e-4))
      assert.deepStrictEqual(failed(yield* run(folder)), [
        "token log-probabilities, 2 pairs",
        "model llama, 3 sequences"
      ])
      change(logprobs, (json) => (json.model = `sha256 ${"0".repeat(64)}`))
      const { checks, skipped } = yield* run(folder)
      assert.strictEqual(checks.length, 1)
      assert.include(skipped[0]!.why, "made with other weights")
      fs.writeFileSync(expected, "{")
      const failure = yield* Effect.flip(run(folder))
      assert.strictEqual(failure._tag, "BadFile")
      assert.include(failure.message, expected)
    })))

  /** All numbers on onnx; on the slower engines those of two training runs and the tiny models' generation, on torch some of the real model's too; thorough: all. */
  const folderFor = Effect.fnUntraced(function*(name: EngineName) {
    if (name === "onnx" || thorough) {
      return { folder: stored, objectives: ["dpo", "dil-lsif", "dil-bce", "dil-ukl", "simpo"] }
    }
    const objectives = ["dpo", "dil-lsif"]
    const folder = yield* scratch
    fs.cpSync(stored, folder, { recursive: true })
    const shorten = (file: string, edit: (json: any) => object) => {
      const at = path.join(folder, file)
      fs.writeFileSync(at, JSON.stringify(edit(JSON.parse(fs.readFileSync(at, "utf8")))))
    }
    fs.rmSync(path.join(folder, "lm-eval"), { recursive: true })
    shorten("training.json", (all) => ({
      ...all,
      runs: all.runs.filter((run: { readonly objective: string }) => objectives.includes(run.objective))
    }))
    const some = ({ items, ...run }: any) => ({ ...run, items: items.slice(-3) })
    shorten("generation.json", ({ models, stories260K }) => ({
      models,
      ...(name === "torch" ? { stories260K: some(stories260K) } : {})
    }))
    return { folder, objectives }
  })

  // The oracle takes 100 s for the training runs; `penchant conformance --engine reference` does them.
  for (
    const name of (Object.keys(backends) as Array<EngineName>).filter((name) =>
      name !== "reference" && (name !== "torch" || !("problem" in discover()))
    )
  ) {
    it.live(
      `passes on ${name}: 48 pairs, every known model, every training run`,
      () =>
        Effect.scoped(Effect.gen(function*() {
          const { folder, objectives } = yield* folderFor(name)
          const result = yield* run(folder, name)
          assert.deepStrictEqual(result.checks.filter(({ pass }) => !pass), [])
          for (const objective of objectives) {
            assert.strictEqual(result.checks.filter((at) => at.name.startsWith(`training ${objective}:`)).length, 6)
          }
          const names = result.checks.map(({ name }) => name)
          assert.include(names, "token log-probabilities, 48 pairs")
          for (const family of fs.readdirSync(path.join(stored, "models"))) {
            assert.include(names, `model ${family}, 3 sequences`)
          }
          if (name === "torch" && !thorough) {
            assert.include(names, "generation stories260K: 3 greedy continuations that differ")
          }
          if (name === "onnx") {
            assert.include(names, "generation stories260K: 12 greedy continuations that differ")
            // 86 questions of real data in 9 runs of tasks, 20 by hand in 7.
            assert.strictEqual(names.filter((each) => each.endsWith("contexts that differ")).length, 16)
          }
          for (const family of fs.readdirSync(path.join(stored, "models"))) {
            assert.include(names, `generation ${family}: 2 greedy continuations that differ`)
          }
        })),
      240_000
    )
  }
})
