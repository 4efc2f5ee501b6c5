// Rows with `prompt`, `chosen` and `rejected` fields, as text or as chat messages, and numeric columns to carry along.
// Messages may repeat the prompt (UltraFeedback's form): the answer is then what follows the last turn that is not the
// assistant's.
import { BadRow } from "@penchant/dsl/Errors"
import { type Content, Message } from "@penchant/dsl/Pair"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import {
  contentKey,
  field,
  type Normalised,
  normalised,
  type NormaliseOptions,
  type Parted,
  rolesAlternate
} from "./normalised.ts"
import type { Row } from "./rows.ts"

type Messages = ReadonlyArray<Message>

const isMessage = Schema.is(Message)

/** Where the answer begins: after the last message that the assistant did not write (tool results belong to the answer). */
const answerStart = (messages: Messages): number =>
  messages.findLastIndex(({ role }) => role === "user" || role === "system") + 1

/** Splits a conversation that may repeat the prompt. Undefined when it repeats another one. */
const answerOf = (
  prompt: Content,
  side: Messages
): { readonly head: Messages; readonly answer: Messages } | undefined => {
  const start = answerStart(side)
  if (start === 0) {
    return { head: typeof prompt === "string" ? [{ role: "user", content: prompt }] : prompt, answer: side }
  }
  const head = side.slice(0, start)
  const same = typeof prompt === "string"
    ? head.some(({ content }) => content === prompt)
    : contentKey(head) === contentKey(prompt)
  return same ? { head, answer: side.slice(start) } : undefined
}

const messagesOf = (content: Content): Messages =>
  typeof content === "string" ? [{ role: "assistant", content }] : content

const parted = (
  id: string,
  prompt: Content,
  chosen: Content,
  rejected: Content,
  columns: Record<string, number>
): Parted => {
  if (typeof prompt === "string" && typeof chosen === "string" && typeof rejected === "string") {
    return { pair: { id, prompt, chosen, rejected, columns }, alternates: true }
  }
  const [left, right] = [answerOf(prompt, messagesOf(chosen)), answerOf(prompt, messagesOf(rejected))]
  if (left === undefined || right === undefined || contentKey(left.head) !== contentKey(right.head)) {
    return { pair: { id, prompt, chosen, rejected, columns }, reason: "prompts differ", alternates: true }
  }
  return {
    pair: { id, prompt: left.head, chosen: left.answer, rejected: right.answer, columns },
    alternates: rolesAlternate([...left.head, ...left.answer]) && rolesAlternate([...right.head, ...right.answer])
  }
}

/** Pairs of rows that have the prompt apart. `columns` are copied and must be finite numbers. */
export const normalisePlain = (
  rows: ReadonlyArray<Row>,
  options: NormaliseOptions & { readonly columns?: ReadonlyArray<string> } = {}
): Result.Result<Normalised, BadRow> => {
  const file = options.file ?? "rows"
  const bad = (id: string, name: string, problem: string) =>
    Result.fail(new BadRow({ file, row: id, field: name, problem }))
  const content = (id: string, row: unknown, name: string): Result.Result<Content, BadRow> =>
    Result.flatMap(field(file, id, row, name), (value): Result.Result<Content, BadRow> => {
      if (typeof value === "string") return Result.succeed(value)
      if (!Array.isArray(value)) {
        return bad(id, name, `is ${JSON.stringify(value).slice(0, 60)}, neither text nor a list of messages`)
      }
      const wrong = value.findIndex((message) => !isMessage(message))
      if (wrong !== -1) return bad(id, `${name}.${wrong}`, "is no message with a role and a content, both text")
      return Result.succeed(value.map(({ role, content }: Message) => ({ role, content })))
    })
  return normalised(rows, ({ id, row }) =>
    Result.gen(function*() {
      const prompt = yield* content(id, row, "prompt")
      const chosen = yield* content(id, row, "chosen")
      const rejected = yield* content(id, row, "rejected")
      const columns: Record<string, number> = {}
      for (const name of options.columns ?? []) {
        const value = yield* field(file, id, row, name)
        if (typeof value !== "number" || !Number.isFinite(value)) {
          return yield* bad(id, name, `is ${JSON.stringify(value)?.slice(0, 60)}, not a finite number`)
        }
        columns[name] = value
      }
      return parted(id, prompt, chosen, rejected, columns)
    }), options)
}
