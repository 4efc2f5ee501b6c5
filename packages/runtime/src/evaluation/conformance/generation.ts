// Greedy generation against transformers, token for token: of the small real model, and of every model in the folder whose
// family runs.
import type { ComputeError, ModelError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as path from "node:path"
import { Engine, type ModelState } from "../../compute/Engine.ts"
import { greedy } from "../../generation/Generation.ts"
import { check, type Conformance, knownModel, largest, read } from "./references.ts"

const Item = Schema.Struct({
  prompt_ids: Schema.NonEmptyArray(Schema.Int),
  stop: Schema.optionalKey(Schema.Array(Schema.String)),
  tokens: Schema.Array(Schema.Int),
  top1_logprob: Schema.Array(Schema.Finite),
  finish: Schema.optionalKey(Schema.Literals(["length", "stop", "eos"]))
})
const Run = Schema.Struct({
  max_new_tokens: Schema.Int,
  eos_token_id: Schema.NullOr(Schema.Int),
  items: Schema.Array(Item)
})
type Run = typeof Run.Type
const Generations = Schema.Struct({ stories260K: Schema.optionalKey(Run), models: Schema.Record(Schema.String, Run) })

/** Against transformers in float32, in nats, written with five digits. */
const ofLogProbs = 5e-5

const runChecks = Effect.fnUntraced(function*(
  title: string,
  { eos_token_id, items, max_new_tokens }: Run,
  model: ModelState,
  tokenizer: string
): Effect.fn.Return<Conformance, ComputeError, Engine> {
  const { open } = yield* Engine
  return yield* Effect.scoped(Effect.gen(function*() {
    const { generate } = yield* open(model)
    let different = 0
    let error = 0
    // Items differ in where they stop, which all prompts of one call share.
    for (const { finish = "length", prompt_ids, stop = [], tokens, top1_logprob } of items) {
      const [sample] = yield* generate([{ id: title, tokens: Int32Array.from(prompt_ids) }], {
        sampling: greedy,
        samples: 1,
        maxTokens: max_new_tokens,
        eos: eos_token_id === null ? [] : [eos_token_id],
        stop,
        tokenizer,
        seed: 0,
        logProbs: true
      })
      if (largest(sample!.tokens, tokens) !== 0 || sample!.finish !== finish) different += 1
      else error = Math.max(error, largest(sample!.logProbs!, top1_logprob))
    }
    return {
      checks: [
        check(`${title}: ${items.length} greedy continuations that differ`, different, 0),
        check(`${title}: log-probabilities of their tokens`, error, ofLogProbs)
      ],
      skipped: []
    }
  }))
})

/** generation.json. `model` lies in `modelFolder`, the others in `folder`/models. */
export const generationChecks = Effect.fnUntraced(
  function*(folder: string, model: ModelState, modelFolder: string): Effect.fn.Return<
    Conformance,
    ComputeError | ModelError,
    Engine
  > {
    const file = path.join(folder, "generation.json")
    const generations = yield* read(file, Generations)
    if (generations === undefined) {
      return { checks: [], skipped: [{ name: "generation", why: `there is no ${file}` }] }
    }
    const parts: Array<Conformance> = []
    const { stories260K } = generations
    if (stories260K !== undefined) {
      parts.push(yield* runChecks("generation stories260K", stories260K, model, modelFolder))
    }
    for (const [name, run] of Object.entries(generations.models)) {
      const title = `generation ${name}`
      const at = path.join(folder, "models", name)
      const loaded = yield* knownModel(at)
      parts.push(
        typeof loaded === "string"
          ? { checks: [], skipped: [{ name: title, why: loaded }] }
          : yield* runChecks(title, run, loaded, at)
      )
    }
    return { checks: parts.flatMap(({ checks }) => checks), skipped: parts.flatMap(({ skipped }) => skipped) }
  }
)
