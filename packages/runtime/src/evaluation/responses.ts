// Greedy answers to contexts, cut as lm-eval cuts them: the context from the left to leave room, the text at the first stop.
import { BadTokens, type ComputeError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import { greedy, type Prompt } from "../generation/Generation.ts"
import { encodeContext } from "./loglikelihood.ts"
import type { Subject } from "./Subject.ts"

/** Prompts of one batch: tokens with room for what is generated. */
const tokenBudget = 32_768

export interface Asking {
  /** For messages. */
  readonly name: string
  readonly until: ReadonlyArray<string>
  readonly maxTokens: number
}

export interface Responses {
  readonly values: ReadonlyArray<string>
  /** Contexts cut from the left to fit the window. */
  readonly truncated: number
}

/** Text up to the first of each stop in turn. */
export const cutAtStops = (text: string, stop: ReadonlyArray<string>): string =>
  stop.reduce((rest, each) => rest.split(each)[0]!, text)

export const responses = Effect.fnUntraced(function*(
  { onDone = () => Effect.void, session, tokenizer, window }: Subject,
  { maxTokens, name, until }: Asking,
  contexts: ReadonlyArray<string>
): Effect.fn.Return<Responses, ComputeError | BadTokens> {
  const { generate } = session
  const room = window - maxTokens
  if (room <= 0) {
    const problem = `${maxTokens} new tokens leave no room for a prompt in a window of ${window}`
    return yield* new BadTokens({ row: name, problem })
  }
  const stop = tokenizer.eos === undefined ? until : [...until, tokenizer.decode([tokenizer.eos])]
  let truncated = 0
  const prompts: Array<Prompt> = []
  for (const [i, context] of contexts.entries()) {
    const ids = encodeContext(context, tokenizer)
    if (ids.length === 0) {
      return yield* new BadTokens({ row: `${name} ${i}`, problem: "has no token to start from" })
    }
    if (ids.length > room) truncated += 1
    prompts.push({ id: `${name}/${i}`, tokens: Int32Array.from(ids.slice(-room)) })
  }
  const order = [...prompts.keys()].toSorted((a, b) => prompts[b]!.tokens.length - prompts[a]!.tokens.length)
  const values: Array<string> = []
  for (let from = 0; from < order.length;) {
    const count = Math.max(1, Math.floor(tokenBudget / (prompts[order[from]!]!.tokens.length + maxTokens)))
    const batch = order.slice(from, from + count)
    from += count
    const samples = yield* generate(batch.map((p) => prompts[p]!), {
      sampling: greedy,
      samples: 1,
      maxTokens,
      eos: tokenizer.eos === undefined ? [] : [tokenizer.eos],
      stop,
      tokenizer: tokenizer.directory,
      seed: 0
    })
    samples.forEach(({ tokens }, i) => {
      values[batch[i]!] = cutAtStops(tokenizer.decode(tokens, true), stop)
    })
    yield* onDone(Math.min(from, order.length) / order.length)
  }
  return { values, truncated }
})
