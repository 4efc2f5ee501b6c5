// Where prompt and answer meet, in ids. Text: prompt and answer are encoded apart. Messages: the whole conversation is
// rendered and encoded, and the prompt must be its prefix in ids. Loss begins after the prompt and ends with EOS or the
// end-of-turn token, never with template bytes after it. Masks are positions, so a pad id never matters.
import { BadTokens } from "@penchant/dsl/Errors"
import type { Message } from "@penchant/dsl/Pair"
import * as Result from "effect/Result"
import type { ChatTemplate } from "./chatTemplate.ts"
import type { Tokenizer } from "./tokenizer.ts"

export interface Answer {
  readonly ids: ReadonlyArray<number>
  /** Whether the last id is EOS or the end of the turn. */
  readonly ended: boolean
}

/** An example in ids, before anything is cut. */
export interface Encoded {
  /** BOS first where there is one. */
  readonly prompt: ReadonlyArray<number>
  /** By side. */
  readonly answers: ReadonlyArray<Answer>
  /** How many tokens from the start a cut from the left must keep: BOS and the system turn. Undefined: not to be found. */
  readonly head: () => number | undefined
  /** The text itself spells BOS or EOS, which the tokenizer takes for the real one. */
  readonly spelled: boolean
}

/** BOS once, at the start, whether or not the text brings its own. */
const withBos = (ids: ReadonlyArray<number>, bos: number | undefined): ReadonlyArray<number> =>
  bos === undefined || ids[0] === bos ? ids : [bos, ...ids]

/** A prompt of text in ids, BOS first and once where texts of this tokenizer start with one. */
export const promptIds = (tokenizer: Tokenizer, text: string): ReadonlyArray<number> =>
  withBos(tokenizer.encode(text, false), tokenizer.textHasBos ? tokenizer.bos : undefined)

/** Prompts that were encoded last: rankings repeat them row after row. */
const remembered = 1024

/** Encodes text: BOS first and once, EOS last and once. */
export const textEncoder = (tokenizer: Tokenizer) => {
  const { bos, eos } = tokenizer
  const prompts = new Map<string, ReadonlyArray<number>>()
  const cached = (prompt: string): ReadonlyArray<number> => {
    const known = prompts.get(prompt)
    if (known !== undefined) return known
    const ids = promptIds(tokenizer, prompt)
    if (prompts.size >= remembered) prompts.clear()
    prompts.set(prompt, ids)
    return ids
  }
  const ended = (ids: Array<number>): Answer => {
    if (eos === undefined) return { ids, ended: false }
    if (ids.at(-1) !== eos) ids.push(eos)
    return { ids, ended: true }
  }
  const marks = (ids: ReadonlyArray<number>, from: number, to: number): boolean => {
    for (let i = from; i < to; i++) if (ids[i] === bos || ids[i] === eos) return true
    return false
  }
  const inside = ({ ended, ids }: Answer): boolean => marks(ids, 0, ids.length - (ended ? 1 : 0))
  const encoded = (prompt: ReadonlyArray<number>, answers: ReadonlyArray<Answer>): Encoded => {
    const head = bos !== undefined && prompt[0] === bos ? 1 : 0
    return { prompt, answers, head: () => head, spelled: marks(prompt, head, prompt.length) || answers.some(inside) }
  }
  return {
    /** Prompt and answers encoded apart. */
    apart: (prompt: string, answers: ReadonlyArray<string>): Encoded =>
      encoded(cached(prompt), answers.map((text) => ended(tokenizer.encode(text, false)))),
    /** Whole texts: the prompt is the tokens that all start with. */
    whole: (texts: ReadonlyArray<string>): Encoded => {
      const [first = [], ...others] = texts.map((text) => promptIds(tokenizer, text))
      const same = others.reduce((least, ids) => Math.min(least, shared(first, ids)), first.length)
      return encoded(first.slice(0, same), [first, ...others].map((ids) => ended(ids.slice(same))))
    }
  }
}

/** How many ids the two share from the start. */
const shared = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number => {
  const most = Math.min(a.length, b.length)
  for (let i = 0; i < most; i++) if (a[i] !== b[i]) return i
  return most
}

const named = (tokenizer: Tokenizer, id: number | undefined): string =>
  id === undefined ? "nothing" : `${id} ${JSON.stringify(tokenizer.piece(id))}`

/** Encodes conversations. BOS is what the template writes, or what the tokenizer itself adds when it writes none. */
export const chatEncoder = (tokenizer: Tokenizer, template: ChatTemplate) => {
  const encode = (text: string): ReadonlyArray<number> =>
    withBos(tokenizer.encode(text, false), tokenizer.addsBos ? tokenizer.bos : undefined)
  const ends = (id: number): boolean => tokenizer.special.has(id)

  /** Where the answer's loss ends: with the first special token that the template writes after the answer's text. */
  const answerOf = (whole: string, answer: ReadonlyArray<Message>, ids: ReadonlyArray<number>): Answer => {
    const last = answer.at(-1)?.content.trim() ?? ""
    const at = whole.lastIndexOf(last)
    const after = tokenizer.encode(at === -1 ? whole : whole.slice(at + last.length), false).filter(ends).length
    let left = after
    for (let i = ids.length - 1; i >= 0 && left > 0; i--) {
      if (ends(ids[i]!) && --left === 0) return { ids: ids.slice(0, i + 1), ended: true }
    }
    return { ids, ended: false }
  }

  /** The system turn by itself, or, where a template writes none alone, the shortest start that spells it. */
  const headOf = (messages: ReadonlyArray<Message>, prompt: ReadonlyArray<number>): number | undefined => {
    const [first] = messages
    const bos = tokenizer.bos !== undefined && prompt[0] === tokenizer.bos ? 1 : 0
    if (first === undefined || first.role !== "system") return bos
    const alone = template.render([first], false)
    if (Result.isSuccess(alone)) {
      const ids = encode(alone.success)
      if (alone.success.includes(first.content.trim()) && shared(ids, prompt) === ids.length) return ids.length
    }
    for (let length = bos; length <= prompt.length; length++) {
      if (tokenizer.decode(prompt.slice(0, length)).includes(first.content.trim())) return length
    }
    return undefined
  }

  return (
    id: string,
    messages: ReadonlyArray<Message>,
    sides: ReadonlyArray<readonly [name: string, answer: ReadonlyArray<Message>]>,
    tools: ReadonlyArray<unknown> | undefined
  ): Result.Result<Encoded, BadTokens> => {
    const bad = (problem: string) => new BadTokens({ row: id, problem })
    const render = (of: ReadonlyArray<Message>, generate: boolean) =>
      Result.mapError(template.render(of, generate, tools), (problem) => bad(problem))
    return Result.gen(function*() {
      const prompt = encode(yield* render(messages, true))
      if (tokenizer.bos !== undefined && prompt[0] === tokenizer.bos && prompt[1] === tokenizer.bos) {
        return yield* Result.fail(bad(`the prompt starts with BOS twice (${named(tokenizer, tokenizer.bos)})`))
      }
      const answers: Array<Answer> = []
      for (const [name, answer] of sides) {
        const whole = yield* render([...messages, ...answer], false)
        const ids = encode(whole)
        const same = shared(prompt, ids)
        if (same !== prompt.length) {
          return yield* Result.fail(bad(
            `the prompt is no prefix of prompt and ${name} answer: token ${same} is ${
              named(tokenizer, prompt[same])
            } in the prompt alone, ${
              named(tokenizer, ids[same])
            } in the whole; the chat template writes the last turn differently when it is answered`
          ))
        }
        answers.push(answerOf(whole, answer, ids.slice(same)))
      }
      return { prompt, answers, head: () => headOf(messages, prompt), spelled: false }
    })
  }
}
