// Examples -> token groups of one prompt and the answer of each side. Parts are tokenised here or by workers, in order,
// and joined: how many there are and who made them shows nowhere.
import type { BadFile, BadTokens } from "@penchant/dsl/Errors"
import type { Example } from "@penchant/dsl/Pair"
import * as Effect from "effect/Effect"
import type { TokenGroups } from "../compute/Batch.ts"
import {
  type Part,
  partTokeniser,
  type Shape,
  shapeOf,
  type TokeniseOptions,
  type TokeniseReport
} from "./tokenisePart.ts"
import type { Tokenizer } from "./tokenizer.ts"

export interface Tokenised {
  readonly groups: TokenGroups
  readonly report: TokeniseReport
}

const summed = (counts: ReadonlyArray<Readonly<Record<string, number>>>): Record<string, number> => {
  const sums: Record<string, number> = {}
  for (const one of counts) for (const [name, count] of Object.entries(one)) sums[name] = (sums[name] ?? 0) + count
  return sums
}

/** Lists by reason, end to end. */
const listed = (all: ReadonlyArray<TokeniseReport["dropped"]>): TokeniseReport["dropped"] => {
  const lists: Record<string, Array<string>> = {}
  for (const one of all) for (const [name, ids] of Object.entries(one)) (lists[name] ??= []).push(...ids)
  return lists
}

/** All parts as one data set, in their order. */
export const joinParts = ({ columns, sides }: Shape, parts: ReadonlyArray<Part>): Tokenised => {
  const reports = parts.map(({ report }) => report)
  const sum = (of: "pairs" | "kept" | "tokens"): number => reports.reduce((total, report) => total + report[of], 0)
  const count = sum("kept")
  const tokens = new Int32Array(sum("tokens"))
  const [offsets, promptLength] = [new Int32Array(count + 1), new Int32Array(count)]
  const branchLength = new Int32Array(count * sides.length)
  const values = columns.map(() => new Float64Array(count))
  let [g, at] = [0, 0]
  for (const part of parts) {
    tokens.set(part.tokens, at)
    promptLength.set(part.promptLength, g)
    branchLength.set(part.branchLength, g * sides.length)
    for (const [c, column] of part.columns.entries()) values[c]!.set(column, g)
    for (const [i, length] of part.promptLength.entries()) {
      at += length
      for (let b = 0; b < sides.length; b++) at += part.branchLength[i * sides.length + b]!
      offsets[g + 1] = at
      g += 1
    }
  }
  const zero = Object.fromEntries(sides.map((side) => [side, 0]))
  const cutZero = { prompt: 0, ...zero }
  return {
    groups: {
      tokens,
      offsets,
      promptLength,
      branchLength,
      sides,
      ids: parts.flatMap(({ ids }) => ids),
      columns: Object.fromEntries(columns.map((name, c) => [name, values[c]!]))
    },
    report: {
      pairs: sum("pairs"),
      kept: count,
      tokens: at,
      dropped: listed(reports.map(({ dropped }) => dropped)),
      tooLong: summed([zero, ...reports.map(({ tooLong }) => tooLong)]),
      cut: summed([cutZero, ...reports.map(({ cut }) => cut)]),
      lost: summed([cutZero, ...reports.map(({ lost }) => lost)]),
      unended: summed([zero, ...reports.map(({ unended }) => unended)]),
      spelled: reports.flatMap(({ spelled }) => spelled)
    }
  }
}

/** Examples between two pauses, in which interruption and other fibers get their turn: about 20 ms. */
const stride = 64

/**
 * Tokenises all examples, in order. `dropped` ones are counted in the report; a template that refuses a row, a prompt
 * that is no prefix, an id beyond the vocabulary, and any pair too long under `fail`, end it with that row's error.
 */
export const tokenisePairs: (
  examples: ReadonlyArray<Example>,
  tokenizer: Tokenizer,
  options: TokeniseOptions
) => Effect.Effect<Tokenised, BadTokens | BadFile> = Effect.fnUntraced(function*(examples, tokenizer, options) {
  const shape = shapeOf(examples[0])
  const tokenise = partTokeniser(tokenizer, shape, options)
  const parts: Array<Part> = []
  for (let from = 0; from < examples.length; from += stride) {
    parts.push(yield* Effect.fromResult(tokenise(examples.slice(from, from + stride))))
    yield* Effect.yieldNow
  }
  return joinParts(shape, parts)
})
