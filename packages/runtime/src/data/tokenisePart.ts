// Some examples -> their tokens, and a report of everything that was cut or left out of them. Plain code over one batch,
// so that it runs in a worker as it does here; parts join into token groups (`tokenise.ts`).
import { type BadFile, BadTokens } from "@penchant/dsl/Errors"
import { answersOf, type Example } from "@penchant/dsl/Pair"
import type { Truncation } from "@penchant/dsl/Tokenise"
import * as Result from "effect/Result"
import { chatEncoder, type Encoded, textEncoder } from "./boundary.ts"
import { asMessages } from "./conversation.ts"
import type { Tokenizer } from "./tokenizer.ts"
import { fit, type Left } from "./truncate.ts"

export interface TokeniseOptions {
  /** Tokens of prompt and the longer answer, BOS and EOS included. */
  readonly maxLength: number
  readonly truncation: Truncation
  readonly allowCut?: boolean
  /** Rows of the model's embedding; an id beyond is an error. Not checked when left out. */
  readonly vocabSize?: number
}

/** What all examples of a data set have: the first one says. */
export interface Shape {
  readonly sides: ReadonlyArray<string>
  readonly columns: ReadonlyArray<string>
}

export const shapeOf = (example: Example | undefined): Shape => ({
  sides: example === undefined ? ["chosen", "rejected"] : answersOf(example).map(([side]) => side),
  columns: Object.keys(example?.columns ?? {})
})

type Counts = Readonly<Record<string, number>>

export interface TokeniseReport {
  readonly pairs: number
  readonly kept: number
  /** Tokens of the kept groups, each prompt counted once. */
  readonly tokens: number
  /** Reason -> ids of pairs left out. */
  readonly dropped: Readonly<Partial<Record<Left, ReadonlyArray<string>>>>
  /** By side: pairs of which prompt and this answer exceed `maxLength`, before anything is cut. */
  readonly tooLong: Counts
  /** By side and `prompt`: kept groups that lost tokens, and how many tokens. */
  readonly cut: Counts
  readonly lost: Counts
  /** By side: kept answers that do not end with EOS or an end of turn. */
  readonly unended: Counts
  /** Ids of kept pairs whose text spells BOS or EOS. */
  readonly spelled: ReadonlyArray<string>
}

/** Tokens of kept examples end to end: prompt, then the answer of each side. */
export interface Part {
  readonly ids: ReadonlyArray<string>
  readonly tokens: Int32Array<ArrayBuffer>
  readonly promptLength: Int32Array<ArrayBuffer>
  /** [kept, sides] */
  readonly branchLength: Int32Array<ArrayBuffer>
  /** [columns][kept] */
  readonly columns: ReadonlyArray<Float64Array<ArrayBuffer>>
  readonly report: TokeniseReport
}

/** What is handed over with a part to another thread, not copied. */
export const buffersOf = ({ branchLength, columns, promptLength, tokens }: Part): Array<ArrayBuffer> =>
  [tokens, promptLength, branchLength, ...columns].map(({ buffer }) => buffer)

/** Text when all of it is; a conversation otherwise, text standing for one turn. */
const encoder = (tokenizer: Tokenizer): (example: Example) => Result.Result<Encoded, BadTokens | BadFile> => {
  const text = textEncoder(tokenizer)
  let chat: Result.Result<ReturnType<typeof chatEncoder>, BadFile> | undefined
  return (example) => {
    const { id, prompt, tools } = example
    const answers = answersOf(example)
    const texts = answers.map(([, answer]) => answer).filter((answer) => typeof answer === "string")
    if (typeof prompt === "string" && texts.length === answers.length) {
      return Result.succeed(
        "implicit" in example ? text.whole(texts.map((answer) => prompt + answer)) : text.apart(prompt, texts)
      )
    }
    chat ??= Result.map(tokenizer.chatTemplate(), (template) => chatEncoder(tokenizer, template))
    return Result.flatMap(chat, (encode) =>
      encode(
        id,
        asMessages(prompt, "user"),
        answers.map(([side, answer]) => [side, asMessages(answer, "assistant")]),
        tools
      ))
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

const zeros = (names: ReadonlyArray<string>): Record<string, number> =>
  Object.fromEntries(names.map((name) => [name, 0]))

/** Tokenises batches of examples of one shape, in order; a batch ends with the error of the first row that has one. */
export const partTokeniser = (
  tokenizer: Tokenizer,
  { columns: names, sides }: Shape,
  { allowCut = false, maxLength, truncation, vocabSize = Infinity }: TokeniseOptions
): (examples: ReadonlyArray<Example>) => Result.Result<Part, BadTokens | BadFile> => {
  const encode = encoder(tokenizer)
  return (examples) =>
    Result.gen(function*() {
      const ids: Array<string> = []
      const pieces: Array<ReadonlyArray<number>> = []
      const promptLength: Array<number> = []
      const branchLength: Array<number> = []
      const columns = names.map(() => new Array<number>())
      const dropped: Partial<Record<Left, Array<string>>> = {}
      const spelled: Array<string> = []
      const [tooLong, unended] = [zeros(sides), zeros(sides)]
      const [cut, lost] = [zeros(["prompt", ...sides]), zeros(["prompt", ...sides])]
      const count = (name: string, tokens: number): void => {
        if (tokens > 0) cut[name]! += 1
        lost[name]! += tokens
      }
      for (const example of examples) {
        const bad = (problem: string) => Result.fail(new BadTokens({ row: example.id, problem }))
        if (answersOf(example).length !== sides.length) {
          return yield* bad(`has ${answersOf(example).length} answers, rows before it ${sides.length}`)
        }
        const encoded = yield* encode(example)
        for (const part of [encoded.prompt, ...encoded.answers.map(({ ids }) => ids)]) {
          const problem = unknown(tokenizer, part, vocabSize)
          if (problem !== undefined) return yield* bad(problem)
        }
        for (const [b, side] of sides.entries()) {
          if (encoded.prompt.length + encoded.answers[b]!.ids.length > maxLength) tooLong[side]! += 1
        }
        const fitted = fit(encoded, { maxLength, truncation, allowCut })
        if (fitted._tag === "TooLong") {
          return yield* bad(`has ${fitted.length} tokens, more than maxLength ${maxLength}, under truncation "fail"`)
        }
        if (fitted._tag === "Left") {
          const left = dropped[fitted.reason] ??= []
          left.push(example.id)
          continue
        }
        for (const [c, name] of names.entries()) {
          const value = example.columns[name]
          if (value === undefined) return yield* bad(`has no column "${name}"`)
          columns[c]!.push(value)
        }
        ids.push(example.id)
        if (encoded.spelled) spelled.push(example.id)
        pieces.push(fitted.prompt)
        promptLength.push(fitted.prompt.length)
        count("prompt", encoded.prompt.length - fitted.prompt.length)
        for (const [b, side] of sides.entries()) {
          const [before, after] = [encoded.answers[b]!, fitted.answers[b]!]
          count(side, before.ids.length - after.length)
          unended[side]! += before.ended && after.length === before.ids.length ? 0 : 1
          pieces.push(after)
          branchLength.push(after.length)
        }
      }
      const tokens = new Int32Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
      let at = 0
      for (const piece of pieces) {
        tokens.set(piece, at)
        at += piece.length
      }
      return {
        ids,
        tokens,
        promptLength: Int32Array.from(promptLength),
        branchLength: Int32Array.from(branchLength),
        columns: columns.map((values) => Float64Array.from(values)),
        report: {
          pairs: examples.length,
          kept: ids.length,
          tokens: tokens.length,
          dropped,
          tooLong,
          cut,
          lost,
          unended,
          spelled
        }
      }
    })
}
