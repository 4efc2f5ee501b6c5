// Preference pairs -> token groups of one prompt and two answers, with a report of everything that was cut or left out.
import { type BadFile, BadTokens } from "@penchant/dsl/Errors"
import type { Content, Message, Pair } from "@penchant/dsl/Pair"
import type { Truncation } from "@penchant/dsl/Tokenise"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { TokenGroups } from "../compute/Batch.ts"
import { chatEncoder, type Encoded, textEncoder } from "./boundary.ts"
import type { Tokenizer } from "./tokenizer.ts"
import { fit, type Left } from "./truncate.ts"

export interface TokenisePairsOptions {
  /** Tokens of prompt and the longer answer, BOS and EOS included. */
  readonly maxLength: number
  readonly truncation: Truncation
  readonly allowCut?: boolean
  /** Rows of the model's embedding; an id beyond is an error. Not checked when left out. */
  readonly vocabSize?: number
}

interface PerSide {
  readonly chosen: number
  readonly rejected: number
}

export interface TokeniseReport {
  readonly pairs: number
  readonly kept: number
  /** Tokens of the kept groups, each prompt counted once. */
  readonly tokens: number
  /** Reason -> ids of pairs left out. */
  readonly dropped: Readonly<Partial<Record<Left, ReadonlyArray<string>>>>
  /** Pairs of which prompt and this answer exceed `maxLength`, before anything is cut. */
  readonly tooLong: PerSide
  /** Kept groups that lost tokens, and how many tokens. */
  readonly cut: PerSide & { readonly prompt: number }
  readonly lost: PerSide & { readonly prompt: number }
  /** Kept answers that do not end with EOS or an end of turn. */
  readonly unended: PerSide
  /** Ids of kept pairs whose text spells BOS or EOS. */
  readonly spelled: ReadonlyArray<string>
}

export const sides = ["chosen", "rejected"] as const

const asMessages = (content: Content, role: string): ReadonlyArray<Message> =>
  typeof content === "string" ? [{ role, content }] : content

/** Text when all three are; a conversation otherwise, text standing for one turn. */
const encoder = (tokenizer: Tokenizer): (pair: Pair) => Result.Result<Encoded, BadTokens | BadFile> => {
  const encodeText = textEncoder(tokenizer)
  let encodeChat: Result.Result<ReturnType<typeof chatEncoder>, BadFile> | undefined
  return (pair) => {
    const { chosen, prompt, rejected } = pair
    if (typeof prompt === "string" && typeof chosen === "string" && typeof rejected === "string") {
      return encodeText(pair, prompt, { chosen, rejected })
    }
    encodeChat ??= Result.map(tokenizer.chatTemplate(), (template) => chatEncoder(tokenizer, template))
    return Result.flatMap(encodeChat, (encode) =>
      encode(pair, asMessages(prompt, "user"), {
        chosen: asMessages(chosen, "assistant"),
        rejected: asMessages(rejected, "assistant")
      }))
  }
}

/** Int32 values end to end, in an array that doubles. */
const growing = () => {
  let values = new Int32Array(1 << 16)
  let length = 0
  return {
    push: (ids: ReadonlyArray<number>): void => {
      if (length + ids.length > values.length) {
        const grown = new Int32Array(2 * (length + ids.length))
        grown.set(values)
        values = grown
      }
      values.set(ids, length)
      length += ids.length
    },
    take: (): Int32Array => values.slice(0, length)
  }
}

/** The first id that the vocabulary does not have, in words. */
const unknown = (tokenizer: Tokenizer, ids: ReadonlyArray<number>, vocabSize: number): string | undefined => {
  const id = ids.find((id) => id < 0 || id >= vocabSize)
  if (id === undefined) return undefined
  return id < 0
    ? "a piece of the text is not in the tokenizer's vocabulary"
    : `token ${id} (${JSON.stringify(tokenizer.piece(id))}) is beyond the model's vocabulary of ${vocabSize}`
}

/** Pairs between two pauses, in which interruption and other fibers get their turn: about 20 ms. */
const stride = 64

/**
 * Tokenises all pairs, in order. `dropped` pairs are counted in the report; a template that refuses a row, a prompt that
 * is no prefix, an id beyond the vocabulary, and any pair too long under `fail`, end it with that row's error.
 */
export const tokenisePairs: (
  pairs: ReadonlyArray<Pair>,
  tokenizer: Tokenizer,
  options: TokenisePairsOptions
) => Effect.Effect<{ readonly groups: TokenGroups; readonly report: TokeniseReport }, BadTokens | BadFile> = Effect
  .fnUntraced(function*(pairs, tokenizer, { allowCut = false, maxLength, truncation, vocabSize = Infinity }) {
    const encode = encoder(tokenizer)
    const columnNames = Object.keys(pairs[0]?.columns ?? {})
    const columns = new Map(columnNames.map((name) => [name, new Array<number>()]))
    const tokens = growing()
    const offsets: Array<number> = [0]
    const promptLength: Array<number> = []
    const branchLength: Array<number> = []
    const ids: Array<string> = []
    const dropped: Partial<Record<Left, Array<string>>> = {}
    const spelled: Array<string> = []
    const tooLong = { chosen: 0, rejected: 0 }
    const cut = { prompt: 0, chosen: 0, rejected: 0 }
    const lost = { prompt: 0, chosen: 0, rejected: 0 }
    const unended = { chosen: 0, rejected: 0 }

    for (const [index, pair] of pairs.entries()) {
      if (index % stride === stride - 1) yield* Effect.yieldNow
      const encoded = yield* Effect.fromResult(encode(pair))
      for (const part of [encoded.prompt, encoded.chosen.ids, encoded.rejected.ids]) {
        const problem = unknown(tokenizer, part, vocabSize)
        if (problem !== undefined) return yield* new BadTokens({ row: pair.id, problem })
      }
      for (const side of sides) {
        if (encoded.prompt.length + encoded[side].ids.length > maxLength) tooLong[side] += 1
      }
      const fitted = fit(encoded, { maxLength, truncation, allowCut })
      if (fitted._tag === "TooLong") {
        const problem = `has ${fitted.length} tokens, more than maxLength ${maxLength}, under truncation "fail"`
        return yield* new BadTokens({ row: pair.id, problem })
      }
      if (fitted._tag === "Left") {
        const left = dropped[fitted.reason] ??= []
        left.push(pair.id)
        continue
      }
      for (const [name, values] of columns) {
        const value = pair.columns[name]
        if (value === undefined) return yield* new BadTokens({ row: pair.id, problem: `has no column "${name}"` })
        values.push(value)
      }
      ids.push(pair.id)
      if (encoded.spelled) spelled.push(pair.id)
      promptLength.push(fitted.prompt.length)
      tokens.push(fitted.prompt)
      const promptLost = encoded.prompt.length - fitted.prompt.length
      cut.prompt += promptLost > 0 ? 1 : 0
      lost.prompt += promptLost
      for (const side of sides) {
        const answerLost = encoded[side].ids.length - fitted[side].length
        cut[side] += answerLost > 0 ? 1 : 0
        lost[side] += answerLost
        unended[side] += encoded[side].ended && answerLost === 0 ? 0 : 1
        branchLength.push(fitted[side].length)
        tokens.push(fitted[side])
      }
      offsets.push(offsets.at(-1)! + fitted.prompt.length + fitted.chosen.length + fitted.rejected.length)
    }
    const groups: TokenGroups = {
      tokens: tokens.take(),
      offsets: Int32Array.from(offsets),
      promptLength: Int32Array.from(promptLength),
      branchLength: Int32Array.from(branchLength),
      sides,
      ids,
      columns: Object.fromEntries(Array.from(columns, ([name, values]) => [name, Float64Array.from(values)] as const))
    }
    const report: TokeniseReport = {
      pairs: pairs.length,
      kept: ids.length,
      tokens: offsets.at(-1)!,
      dropped,
      tooLong,
      cut,
      lost,
      unended,
      spelled
    }
    return { groups, report }
  })
