// Training steps with adapters and with frozen tensors: what they leave, and that a run goes on from it.
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Dataset, extend, Model, normalise, tokenise, train } from "@penchant/dsl"
import type { Lora, RecipeOptions } from "@penchant/dsl/Recipe"
import { dpo } from "@penchant/objectives"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { layer } from "../../src/compute/Engines.ts"
import { decodeSafetensors } from "../../src/data/safetensors.ts"
import { loadModel } from "../../src/model/load.ts"
import { merged } from "../../src/model/merged.ts"
import { withAdapters } from "../../src/model/peft.ts"
import { saveModel } from "../../src/model/save.ts"
import { trainable } from "../../src/model/trainable.ts"
import { Progress } from "../../src/platform/Progress.ts"
import type { Input } from "../../src/steps/Implementation.ts"
import { stories, tinyLlama } from "../compute/fixtures.ts"
import { scratch } from "../training/scratch.ts"
import { executor } from "./executor.ts"

const home = fs.mkdtempSync(path.join(os.tmpdir(), "penchant-adapters-"))
const tiny = tinyLlama(1, { vocab_size: 512, max_position_embeddings: 128 })
beforeAll(() => Effect.runPromise(saveModel(home, tiny, { tokenizer: fileURLToPath(stories) })))
afterAll(() => fs.rmSync(home, { recursive: true, force: true }))

const rows = [1, 2, 3, 4].map((n) => ({
  prompt: `There were ${n} dogs.`,
  chosen: " They ran.",
  rejected: " They ate it."
}))
const base = Model.named("tiny", { dir: home })
const data = tokenise(normalise.plain(Dataset.inline(rows)), base, { maxLength: 96 })
const common = { learningRate: 0.01, batchSize: 2, warmupRatio: 0, schedule: "constant", order: "given" } as const
const trained = (options: RecipeOptions) => train(dpo(), { model: base, data }, { ...common, ...options })
const lora: Lora = { rank: 2, alpha: 4, targets: ["q_proj", "down_proj"] }

const tensorsIn = (input: Input, file: string) =>
  Result.getOrThrow(decodeSafetensors(fs.readFileSync(input.files[file]!), file)).tensors
const run = <A, E>(program: Effect.Effect<A, E, Effect.Services<ReturnType<ReturnType<typeof executor>["run"]>>>) =>
  Effect.provide(program, Layer.merge(layer("reference"), Progress.silent))

describe("a training", () => {
  it.live("with adapters leaves them, the weights beside them, and both as one", () =>
    Effect.scoped(Effect.gen(function*() {
      const steps = executor(yield* scratch)
      const once = trained({ epochs: 1, lora })
      const first = yield* steps.run(once)
      assert.includeMembers(Object.keys(first.files), [
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "base/config.json",
        "base/model.safetensors",
        "model.safetensors"
      ])
      // 2 layers: A [2, 12] and B [24, 2] of queries, A [2, 10] and B [12, 2] of the way down.
      const count = 2 * (24 + 48 + 20 + 24)
      assert.deepInclude(first.meta, { parameters: tiny.parameters.length, trained: count })
      const moments = Object.entries(tensorsIn(first, "optimiser.safetensors"))
      assert.strictEqual(moments.reduce((sum, [, { data }]) => sum + data.length, 0), 2 * count)

      const start = yield* steps.run(base)
      const bytes = (input: Input, file: string) => fs.readFileSync(input.files[file]!)
      assert.deepStrictEqual(bytes(first, "base/model.safetensors"), bytes(start, "model.safetensors"))
      const file = first.files["adapter/adapter_model.safetensors"]!
      const beside = Result.getOrThrow(trainable(yield* loadModel(home), { seed: 0, lora }))
      const whole = merged(Result.getOrThrow(withAdapters(beside, fs.readFileSync(file), file)))
      const tensors = tensorsIn(first, "model.safetensors")
      let at = 0
      whole.names.forEach((name) => {
        const { data } = tensors[name]!
        for (let i = 0; i < data.length; i++) assert.closeTo(Number(data[i]), whole.parameters[at++]!, 1e-7, name)
      })

      // One pass and another are two passes.
      const longer = yield* steps.run(extend(once, { epochs: 1 }))
      const twice = yield* steps.run(trained({ epochs: 2, lora }))
      const [ours, theirs] = [longer, twice].map((each) => tensorsIn(each, "adapter/adapter_model.safetensors"))
      assert.strictEqual(Object.keys(ours!).length, 8)
      for (const [name, { data }] of Object.entries(theirs!)) {
        for (let i = 0; i < data.length; i++) assert.closeTo(Number(ours![name]!.data[i]), Number(data[i]), 1e-6, name)
      }
      assert.deepStrictEqual(bytes(longer, "base/model.safetensors"), bytes(start, "model.safetensors"))
    })).pipe(run))

  it.live("with frozen tensors leaves them as they were, and says what it cannot freeze or adapt", () =>
    Effect.scoped(Effect.gen(function*() {
      const steps = executor(yield* scratch)
      const frozen = yield* steps.run(trained({ freeze: ["model.embed_tokens.*", "*layernorm*"] }))
      const [before, after] = [yield* steps.run(base), frozen].map((each) => tensorsIn(each, "model.safetensors"))
      for (const [name, { data }] of Object.entries(after!)) {
        const still = /embed_tokens|layernorm/.test(name)
        assert.strictEqual(data.some((value, i) => value !== before![name]!.data[i]), !still, name)
      }
      const problems = yield* Effect.forEach(
        [{ freeze: ["h.0.*"] }, { lora: { rank: 2, alpha: 2, targets: ["c_attn"] } }] as const,
        (options) => Effect.flip(steps.run(trained(options as RecipeOptions)))
      )
      assert.deepStrictEqual(problems.map(({ _tag }) => _tag), ["BadModel", "BadModel"])
      assert.include(problems[0]!.message, `"recipe.freeze" has "h.0.*", which matches no tensor`)
      assert.include(problems[1]!.message, `"recipe.lora.targets" names "c_attn", which no linear layer is called`)
    })).pipe(run))
})
