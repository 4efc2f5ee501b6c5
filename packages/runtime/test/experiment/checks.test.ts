// What is wrong with a step is said by a plan, and by a run before any of its steps runs, when the model's files are there.
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import type { Weights } from "@penchant/dsl/Artifact"
import { Dataset } from "@penchant/dsl/Dataset"
import type { HubError, ModelError } from "@penchant/dsl/Errors"
import { Model } from "@penchant/dsl/Model"
import { normalise } from "@penchant/dsl/Normalise"
import { generate } from "@penchant/dsl/PreferenceMetrics"
import type { RecipeOptions } from "@penchant/dsl/Recipe"
import { formatReference } from "@penchant/dsl/Reference"
import type { AnyStep, Step } from "@penchant/dsl/Step"
import { tokenise } from "@penchant/dsl/Tokenise"
import { extend, train } from "@penchant/dsl/Train"
import { simpo } from "@penchant/objectives"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { Experiment } from "../../src/experiment/Experiment.ts"
import { CurrentHub, makeHub } from "../../src/hub/Hub.ts"
import { writeLock } from "../../src/hub/LockFile.ts"
import { settingsOf } from "../../src/hub/Settings.ts"
import { type Event, Progress } from "../../src/platform/Progress.ts"
import { layer } from "../../src/Runtime.ts"
import { readJson, references, stories } from "../compute/fixtures.ts"

const home = fs.mkdtempSync(path.join(os.tmpdir(), "penchant-checks-"))
const before = process.cwd()
beforeAll(() => process.chdir(home))
afterAll(() => {
  process.chdir(before)
  fs.rmSync(home, { recursive: true, force: true })
})

const folderOf = (family: string) => fileURLToPath(new URL(`models/${family}`, references))
const modelOf = (family: string) => Model.named("tiny", { dir: folderOf(family) })
const pairs = normalise.plain(Dataset.inline([{ prompt: "a", chosen: "b", rejected: "c" }]))
const long = normalise.plain(Dataset.inline([{ prompt: "Once upon a time", chosen: " a", rejected: " b" }]))

/** A plan and a run; what became of the steps, by kind. */
const ended = Effect.fnUntraced(function*(step: AnyStep) {
  const events: Array<Event> = []
  const listener = Layer.succeed(Progress, Progress.of({ emit: (event) => Effect.sync(() => void events.push(event)) }))
  return yield* Effect.gen(function*() {
    const { plan, run } = yield* Experiment
    const { nodes } = yield* plan([{ label: "end", step }])
    const { failure } = yield* run([{ label: "end", step }])
    return {
      nodes: new Map(nodes.map((node) => [node.kind, node])),
      error: failure === undefined ? undefined : Cause.squash(failure.cause) as Error & { readonly _tag: string },
      started: events.flatMap((event) => event._tag === "StepStarted" ? [event.label] : []),
      warned: events.flatMap((event) => event._tag === "Warning" ? [event.message] : [])
    }
  }).pipe(Effect.provide(layer({ engine: "reference", home: path.join(home, "state") }).pipe(Layer.provide(listener))))
})

/** Of one training after a model's folder, and one that extends it. */
const asked = (model: Step<Weights<string>, HubError | ModelError>, options: RecipeOptions, maxLength = 8) =>
  ended(extend(train(simpo(), { model, data: tokenise(pairs, model, { maxLength }) }, options), { epochs: 2 }))

const cases: ReadonlyArray<readonly [string, string, RecipeOptions, number, string, string]> = [
  [
    "a target that is no layer",
    "llama",
    { lora: { rank: 2, alpha: 2, targets: ["q_prj"] } },
    8,
    "train",
    "\"recipe.lora.targets\" names \"q_prj\", which no linear layer is called (did you mean q_proj?)"
  ],
  [
    "a pattern that matches nothing",
    "gpt2",
    { freeze: ["transformer.wt.*"] },
    8,
    "train",
    "\"recipe.freeze\" has \"transformer.wt.*\", which matches no tensor (did you mean transformer.wte.weight?)"
  ],
  [
    "patterns that match everything",
    "gpt_neox",
    { freeze: ["gpt_neox.*", "embed_out.*"] },
    8,
    "train",
    "\"recipe.freeze\" leaves no tensor to train"
  ],
  [
    "rows beyond learned positions",
    "gpt2",
    {},
    300,
    "tokenise",
    "\"maxLength\" 300 goes beyond the model's 256 positions, where longer rows are refused: take 256 or less"
  ]
]

describe("before anything runs", () => {
  for (const [what, family, options, maxLength, kind, problem] of cases) {
    it.effect(`finds ${what}`, () =>
      Effect.gen(function*() {
        const { error, nodes, started } = yield* asked(modelOf(family), options, maxLength)
        const verdict = nodes.get(kind)!.verdict
        assert.strictEqual(verdict._tag, "Blocked")
        assert.include(verdict._tag === "Blocked" ? verdict.problem : "", problem)
        assert.strictEqual(nodes.get("extend")!.verdict._tag, "Blocked")
        assert.strictEqual(error?._tag, "BadModel")
        assert.include(error?.message, problem)
        assert.deepStrictEqual(started, [])
      }))
  }

  it.effect("finds a folder that does not fit its config, by its headers", () =>
    Effect.gen(function*() {
      const folder = path.join(home, "broken")
      fs.cpSync(folderOf("llama"), folder, { recursive: true })
      fs.writeFileSync(
        path.join(folder, "config.json"),
        JSON.stringify({ ...readJson(new URL("models/llama/config.json", references)), intermediate_size: 4 })
      )
      const { error, started } = yield* asked(Model.named("tiny", { dir: folder }), {})
      assert.match(
        error!.message,
        /model\.safetensors: ".*gate_proj\.weight" has shape \[\d+,32\]; the config says \[4,32\]/
      )
      assert.deepStrictEqual(started, [])
    }))

  it.effect("warns of rows beyond rotary positions, and of nothing that is well", () =>
    Effect.gen(function*() {
      const long = yield* asked(modelOf("llama"), {}, 1000)
      const warning = /^maxLength 1000 goes beyond the model's \d+ positions/
      assert.match(long.nodes.get("tokenise")!.warnings[0]!, warning)
      assert.match(long.warned[0]!, warning)
      // There is no tokenizer in the folder, which only the step itself finds.
      assert.notInclude(long.error?.message, "positions")
      assert.isAbove(long.started.length, 0)
      const well = yield* asked(modelOf("llama"), { lora: { rank: 2, alpha: 2 }, freeze: ["*.lora_A.*"] })
      assert.deepStrictEqual([...well.nodes.values()].flatMap(({ warnings }) => warnings), [])
      assert.strictEqual(well.nodes.get("train")!.verdict._tag, "Run")
    }))

  it.live("keeps answers within the positions: in a plan as far as it knows, and row by row", () =>
    Effect.gen(function*() {
      const folder = path.join(home, "short")
      fs.cpSync(fileURLToPath(stories), folder, { recursive: true })
      const config = { ...readJson(new URL("config.json", stories)), max_position_embeddings: 8 }
      fs.writeFileSync(path.join(folder, "config.json"), JSON.stringify(config))
      const model = Model.named("short", { dir: folder })
      const answers = (maxTokens: number) =>
        ended(generate(model, tokenise(long, model, { maxLength: 8 }), { maxTokens }))
      const none = yield* answers(8)
      assert.include(none.error!.message, "\"maxTokens\" of 8 leaves no room for a prompt in the model's 8 positions")
      assert.deepStrictEqual(none.started, [])
      const some = yield* answers(5)
      assert.deepStrictEqual(some.nodes.get("generate")!.warnings, [
        "prompts of more than 3 tokens are refused: the model has 8 positions, of which 5 are for answers"
      ])
      assert.strictEqual(some.error!._tag, "BadTokens")
      assert.match(some.error!.message, /^row 0: its prompt of \d tokens and 5 new ones do not fit the window of 8/)
    }))

  it.effect("looks into what is locked and in the cache, and says nothing of what is not", () =>
    Effect.gen(function*() {
      const reference = formatReference({ repo: "models/me/tiny", revision: "main" })
      const commit = "a".repeat(40)
      const locked = ["config.json", "model.safetensors"].map((file) => ({
        reference,
        commit,
        file,
        size: 1,
        sha256: "b".repeat(64)
      }))
      Result.getOrThrow(writeLock(home, [reference], locked))
      const target = { lora: { rank: 2, alpha: 2, targets: ["c_atn"] } } as const
      const of = asked(Model.hub("me/tiny"), target)
      assert.strictEqual((yield* of).nodes.get("train")!.verdict._tag, "Run")
      const snapshot = path.join(home, "hub/models--me--tiny/snapshots", commit)
      fs.mkdirSync(snapshot, { recursive: true })
      const keep = (file: string) => fs.copyFileSync(path.join(folderOf("gpt2"), file), path.join(snapshot, file))
      keep("config.json")
      const { error, nodes, started } = yield* of
      assert.strictEqual(nodes.get("model")!.verdict._tag, "Run")
      assert.include(error!.message, "(did you mean c_attn?)")
      assert.deepStrictEqual(started, [])
      fs.writeFileSync(path.join(snapshot, "model.safetensors"), "torn")
      assert.include((yield* of).error!.message, "not a valid safetensors file")
    }).pipe(Effect.provideService(CurrentHub, makeHub(settingsOf({ HF_HOME: home, HF_HUB_OFFLINE: "1" })))))
})
