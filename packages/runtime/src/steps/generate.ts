// Answers that a model samples to the prompts of a data set, as tokens to score and as text to read.
import { BadTokens } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { TokenGroups } from "../compute/Batch.ts"
import { Engine } from "../compute/Engine.ts"
import { loadTokenizer } from "../data/tokenizer.ts"
import { encodeTokens } from "../data/tokensFile.ts"
import { cutAtStops } from "../evaluation/responses.ts"
import type { Prompt, Sample } from "../generation/Generation.ts"
import { loadedArchitecture } from "../model/families.ts"
import { loadModel } from "../model/load.ts"
import { Progress } from "../platform/Progress.ts"
import { folderOf, lines, parametersOf, tokensOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

const Parameters = Schema.Struct({
  sampling: Schema.Struct({
    temperature: Schema.Finite,
    topK: Schema.optionalKey(Schema.Int),
    topP: Schema.optionalKey(Schema.Finite),
    minP: Schema.optionalKey(Schema.Finite)
  }),
  maxTokens: Schema.Int,
  samples: Schema.Int,
  stop: Schema.Array(Schema.String),
  seed: Schema.Int,
  first: Schema.optionalKey(Schema.Int)
})

/** Tokens of one batch: prompts with room for what is sampled. */
const tokenBudget = 32_768

/** Each prompt with its samples as branches. */
const groupsOf = (prompts: ReadonlyArray<Prompt>, samples: ReadonlyArray<Sample>): TokenGroups => {
  const width = samples.length / prompts.length
  const offsets = [0]
  const tokens: Array<number> = []
  for (const [p, prompt] of prompts.entries()) {
    for (const token of prompt.tokens) tokens.push(token)
    for (const { tokens: own } of samples.slice(p * width, (p + 1) * width)) for (const token of own) tokens.push(token)
    offsets.push(tokens.length)
  }
  return {
    tokens: Int32Array.from(tokens),
    offsets: Int32Array.from(offsets),
    promptLength: Int32Array.from(prompts, (prompt) => prompt.tokens.length),
    branchLength: Int32Array.from(samples, (sample) => sample.tokens.length),
    sides: Array.from({ length: width }, (_, s) => (s === 0 ? "answer" : `answer${s + 1}`)),
    ids: prompts.map(({ id }) => id),
    columns: {}
  }
}

export const generate: Implementation = {
  computes: true,
  run: Effect.fn("generate")(function*(job) {
    const { first, maxTokens, samples: width, sampling, seed, stop } = parametersOf(job, Parameters)
    const { open } = yield* Engine
    const progress = yield* Progress
    const folder = yield* folderOf(job, "model")
    const tokenizer = yield* loadTokenizer(folder)
    const model = yield* loadModel(folder)
    const session = yield* open(model)
    const data = yield* tokensOf(job, "data")
    const prompts = data.ids.slice(0, first).map((id, g): Prompt => {
      const start = data.offsets[g]!
      return { id, tokens: data.tokens.slice(start, start + data.promptLength[g]!) }
    })
    const window = loadedArchitecture(model.config).maxPositions
    const long = prompts.find(({ tokens }) => tokens.length + maxTokens > window)
    if (long !== undefined) {
      const fit =
        `its prompt of ${long.tokens.length} tokens and ${maxTokens} new ones do not fit the window of ${window}`
      return yield* new BadTokens({
        row: long.id,
        problem: `${fit}; tokenise with a smaller maxLength, or sample fewer`
      })
    }
    const samples: Array<Sample> = []
    for (let at = 0; at < prompts.length;) {
      const longest = Math.max(...prompts.slice(at).map(({ tokens }) => tokens.length)) + maxTokens
      const batch = prompts.slice(at, at + Math.max(1, Math.floor(tokenBudget / longest / width)))
      samples.push(
        ...(yield* session.generate(batch, {
          sampling,
          samples: width,
          maxTokens,
          eos: tokenizer.eos === undefined ? [] : [tokenizer.eos],
          stop,
          tokenizer: tokenizer.directory,
          seed
        }))
      )
      at += batch.length
      const total = prompts.length
      yield* progress.emit({ _tag: "StepProgress", label: job.label, done: at, total, unit: "prompt" })
    }
    const groups = groupsOf(prompts, samples)
    return {
      kind: "Tokens",
      meta: { count: prompts.length, tokens: groups.tokens.length },
      files: {
        ...encodeTokens(groups),
        "answers.jsonl": lines(prompts.map(({ id, tokens }, p) => ({
          id,
          prompt: tokenizer.decode(tokens, true),
          answers: samples.slice(p * width, (p + 1) * width).map(({ finish, tokens: own }) => ({
            finish,
            text: cutAtStops(tokenizer.decode(own, true), stop)
          }))
        })))
      }
    }
  }, Effect.scoped)
}
