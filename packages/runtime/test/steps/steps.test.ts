// The built-in steps on real data with the shipped tokenizer, by the float64 engine: a tiny Llama, but nothing is a double.
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Dataset, HhRow } from "@penchant/dsl/Dataset"
import { chosenLogProb, evaluate, margin, preferenceAccuracy, trajectory } from "@penchant/dsl/Evaluation"
import { Model } from "@penchant/dsl/Model"
import { normalise } from "@penchant/dsl/Normalise"
import { parts } from "@penchant/dsl/Split"
import { tokenise } from "@penchant/dsl/Tokenise"
import { extend, score, snapshot, train } from "@penchant/dsl/Train"
import { dpo, sft, simpo } from "@penchant/objectives"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as zlib from "node:zlib"
import { layer } from "../../src/compute/Engines.ts"
import { loadModel } from "../../src/model/load.ts"
import { saveModel } from "../../src/model/save.ts"
import { Progress } from "../../src/platform/Progress.ts"
import type { Input } from "../../src/steps/Implementation.ts"
import { tinyLlama } from "../compute/fixtures.ts"
import { scratch } from "../training/scratch.ts"
import { executor } from "./executor.ts"

const repository = (path: string) => fileURLToPath(new URL(`../../../../${path}`, import.meta.url))

/** Short rows of the shipped pairs, useless ones among them. */
const rows = zlib.gunzipSync(fs.readFileSync(repository("data/hh-rlhf/harmless-base/test.jsonl.gz")))
  .toString().trimEnd().split("\n").map((line) => JSON.parse(line) as HhRow)
  .filter(({ chosen, rejected }) => chosen.length + rejected.length < 320)

const pairs = normalise.hh(Dataset.inline(rows))
const part = parts(pairs, { test: 4, preference: 6, sft: 4, rest: "rest" })
const home = fs.mkdtempSync(path.join(os.tmpdir(), "penchant-steps-"))
const folder = path.join(home, "tiny")
const tiny = tinyLlama(1, { vocab_size: 512, num_hidden_layers: 1, max_position_embeddings: 128 })
const base = Model.named("tiny", { dir: folder })
const fit = { maxLength: 96, truncation: "leftOfPrompt" } as const
const data = tokenise(part.preference, base, fit)
const test = tokenise(part.test, base, fit)
const start = sft({ model: base, data: tokenise(part.sft, base, fit) }, { learningRate: 1e-3, batchSize: 2 })
const trained = train(dpo(), { model: start, data }, { learningRate: 1e-3, batchSize: 2, snapshots: 2, warmupRatio: 0 })
const metrics = [
  preferenceAccuracy(test, { against: start }),
  chosenLogProb(test, { against: start }),
  margin(test)
] as const

const run = <A, E>(program: Effect.Effect<A, E, Effect.Services<ReturnType<ReturnType<typeof executor>["run"]>>>) =>
  Effect.provide(program, Layer.merge(layer("reference"), Progress.silent))

const text = (input: Input, file: string): string => fs.readFileSync(input.files[file]!, "utf8")
const json = (input: Input, file: string): any => JSON.parse(text(input, file))

beforeAll(() => Effect.runPromise(saveModel(folder, tiny, { tokenizer: repository("data/models/stories260K") })))
afterAll(() => fs.rmSync(home, { recursive: true, force: true }))

describe("steps", () => {
  it.live("run a whole experiment, twice to the same bytes", () =>
    Effect.scoped(Effect.gen(function*() {
      const [first, second] = [executor(yield* scratch), executor(yield* scratch)]
      const curve = trajectory(trained, metrics)

      const normalised = yield* first.run(pairs)
      assert.deepStrictEqual(Object.keys(normalised.files), ["pairs.jsonl", "report.json"])
      const report = json(normalised, "report.json")
      const dropped = Object.values(report.dropped as Record<string, Array<string>>).flat()
      assert.strictEqual(report.rows, rows.length)
      assert.isAbove(dropped.length, 0)
      assert.strictEqual(report.pairs, rows.length - dropped.length)
      assert.deepStrictEqual(normalised.meta, { count: report.pairs, dropped: report.dropped })
      const sizes = yield* Effect.forEach(
        ["test", "preference", "sft", "rest"] as const,
        (name) => first.run(part[name])
      )
      assert.deepStrictEqual(
        sizes.map(({ meta }) => (meta as { count: number }).count),
        [4, 6, 4, report.pairs - 14]
      )

      const model = yield* first.run(base)
      assert.deepStrictEqual(model.meta, { parameters: tiny.parameters.length })
      assert.deepStrictEqual(Object.keys(model.files).toSorted(), [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json"
      ])
      const tokens = yield* first.run(data)
      assert.deepStrictEqual(Object.keys(tokens.files), ["tokens.safetensors", "ids.json", "report.json"])
      const { dropped: left, kept: fitting } = json(tokens, "report.json")
      assert.strictEqual(fitting + Object.values(left).flat().length, 6)
      assert.strictEqual(fitting, 5)

      const reference = yield* first.run(score(start, data))
      assert.strictEqual((reference.meta as { model: string }).model, (yield* first.run(start)).digest)

      const dpoRun = yield* first.run(trained)
      assert.deepStrictEqual(Object.keys(dpoRun.files).toSorted(), [
        "config.json",
        "cursor.json",
        "generation_config.json",
        "metrics.jsonl",
        "model.safetensors",
        "optimiser.safetensors",
        "snapshots/0.safetensors",
        "snapshots/1.safetensors",
        "tokenizer.json",
        "tokenizer_config.json"
      ])
      const lines = text(dpoRun, "metrics.jsonl").trim().split("\n").map((line) => JSON.parse(line))
      assert.strictEqual(lines.length, 3)
      // Nothing is learnt before the first update, and something after it.
      assert.closeTo(lines[0].loss, Math.LN2, 1e-9)
      assert.isAbove(Math.abs(lines[2].loss - Math.LN2), 1e-3)
      assert.notInclude(text(dpoRun, "metrics.jsonl"), "second")
      const { loss, snapshots, steps } = dpoRun.meta as { loss: number; snapshots: Array<number>; steps: number }
      assert.deepStrictEqual([loss, steps, snapshots], [lines[2].loss, 3, [2, 3]])
      assert.deepStrictEqual(
        fs.readFileSync(dpoRun.files["snapshots/1.safetensors"]!),
        fs.readFileSync(dpoRun.files["model.safetensors"]!)
      )

      // The last snapshot is the trained model, so its numbers are those of the model itself.
      const points = yield* first.run(curve)
      const scores = yield* first.run(evaluate(trained, metrics))
      const { steps: at, ...columns } = points.meta as { steps: Array<number> } & Record<string, Array<number>>
      assert.deepStrictEqual(at, [2, 3])
      assert.deepStrictEqual(
        Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values[1]])),
        scores.meta
      )
      const numbers = scores.meta as Record<string, number>
      const before = (yield* first.run(evaluate(start, metrics))).meta as Record<string, number>
      assert.closeTo(numbers["chosenLogProb"]! - before["chosenLogProb"]!, numbers["chosenChange"]!, 1e-12)
      assert.strictEqual(before["chosenChange"], 0)
      assert.strictEqual(numbers["accuracyChange"]! + before["preferenceAccuracy"]!, numbers["preferenceAccuracy"])

      assert.strictEqual((yield* second.run(trained)).digest, dpoRun.digest)

      const kept = yield* first.run(snapshot(trained, 0))
      assert.deepStrictEqual(kept.meta, { parameters: tiny.parameters.length, step: 2 })
      const again = yield* scratch
      for (const [name, blob] of Object.entries(kept.files)) fs.copyFileSync(blob, `${again}/${name}`)
      assert.strictEqual((yield* loadModel(again)).parameters.length, tiny.parameters.length)

      const extended = extend(trained, { epochs: 1, snapshots: 1 })
      const more = yield* first.run(extended)
      assert.deepStrictEqual(
        (more.meta as { steps: number; snapshots: Array<number> }).steps,
        6
      )
      assert.strictEqual(
        text(more, "metrics.jsonl").slice(0, text(dpoRun, "metrics.jsonl").length),
        text(dpoRun, "metrics.jsonl")
      )
      const cursor = json(more, "cursor.json")
      assert.deepStrictEqual([cursor.step, cursor.updates, cursor.epoch], [6, 6, 2])
      const longer = yield* first.run(extend(extended, { epochs: 1 }))
      assert.strictEqual((longer.meta as { steps: number }).steps, 9)
    })).pipe(run), 120_000)

  it.live("gate the start against its reference, and only then", () =>
    Effect.scoped(Effect.gen(function*() {
      const { run } = executor(yield* scratch)
      // The model before SFT is another reference: no mistake, and the first loss says so.
      const other = train(dpo(), { model: start, reference: base, data }, { batchSize: 10, warmupRatio: 0 })
      const [line] = text(yield* run(other), "metrics.jsonl").split("\n").map((line) => line && JSON.parse(line))
      assert.isAbove(Math.abs(line.loss - Math.LN2), 1e-4)
      // Reference-free: no score step.
      const free = train(simpo(), { model: start, data }, { batchSize: 10 })
      assert.deepStrictEqual(Object.keys(free.inputs), ["model", "data"])
    })).pipe(run), 120_000)

  it.live("fail with typed errors: nothing locked, no snapshot, a model that is not there, pairs that do not fit", () =>
    Effect.scoped(Effect.gen(function*() {
      const { run } = executor(yield* scratch)
      const failures = yield* Effect.forEach([
        run(Dataset.hub("Anthropic/hh-rlhf", { split: "train" })),
        run(Model.hub("EleutherAI/pythia-160m")),
        run(Model.named("gone", { dir: repository("data/models/gone") })),
        run(tokenise(part.test, base, { maxLength: 3 })),
        run(snapshot(start, 0))
      ], Effect.flip)
      assert.deepStrictEqual(failures.map(({ _tag }) => _tag), [
        "HubError",
        "HubError",
        "BadFile",
        "BadFile",
        "BadFile"
      ])
      assert.include(failures[0]!.message, "is not in penchant.lock (run `penchant lock FILE`")
      assert.include(failures[2]!.message, "data/models/gone/config.json: no such file")
      assert.include(failures[3]!.message, "none of 4 pairs is left")
      assert.include(failures[4]!.message, "the run kept 0")
    })).pipe(run))
})
