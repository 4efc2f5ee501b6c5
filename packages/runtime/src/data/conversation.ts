// Chat messages of a row, and where the prompt of a conversation ends: before the first turn after the last one that the
// assistant did not write. Turns are never cut. Leaves out the formats: each normaliser names its fields.
import type { Content, Example, Message } from "@penchant/dsl/Pair"
import { contentKey, type Fields, type Parted, rolesAlternate } from "./normalised.ts"
import type { Row } from "./rows.ts"

type Messages = ReadonlyArray<Message>

/** A list, also one written as JSON text, as columns that Arrow cannot type often are. */
const listOf = (value: unknown): ReadonlyArray<unknown> | undefined => {
  if (typeof value !== "string") return Array.isArray(value) ? value : undefined
  try {
    const list: unknown = JSON.parse(value)
    return Array.isArray(list) ? list : undefined
  } catch {
    return undefined
  }
}

/** A message with the fields that templates read; undefined when it is none. Arrow writes fields that are not there as null. */
const messageOf = (value: unknown): Message | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  const { content, name, role, tool_call_id, tool_calls } = value as Readonly<Record<string, unknown>>
  const calls = tool_calls === undefined || tool_calls === null ? [] : listOf(tool_calls)
  if (typeof role !== "string" || calls === undefined) return undefined
  // A turn that only calls a tool has no content.
  const text = (content === null || content === undefined) && calls.length > 0 ? "" : content
  if (typeof text !== "string") return undefined
  return {
    role,
    content: text,
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...(typeof tool_call_id === "string" ? { tool_call_id } : {}),
    ...(typeof name === "string" ? { name } : {})
  }
}

/** The messages in a field. */
export const messagesIn = (fields: Fields, row: Row, name: string, value: ReadonlyArray<unknown>): Messages =>
  value.map((one, index) => {
    const message = messageOf(one)
    if (message === undefined) {
      throw fields.bad(row, `${name}.${index}`, "is no message with a role and a content, both text")
    }
    return message
  })

/** Text or messages in a field. */
export const contentIn = (fields: Fields, row: Row, name: string): Content => {
  const value = fields.value(row, name)
  if (typeof value === "string") return value
  if (Array.isArray(value)) return messagesIn(fields, row, name, value)
  throw fields.bad(row, name, `is ${JSON.stringify(value).slice(0, 60)}, neither text nor a list of messages`)
}

/** Definitions of tools: a list, or JSON text of one. None are no tools. */
export const toolsIn = (fields: Fields, row: Row): { readonly tools?: ReadonlyArray<unknown> } => {
  const value = fields.maybe(row, "tools")
  const tools = value === undefined || value === "" ? [] : listOf(value)
  if (tools === undefined) throw fields.bad(row, "tools", "is no list of tools, nor JSON text of one")
  return tools.length === 0 ? {} : { tools }
}

/** Tool results belong to the answer: the assistant asked for them. */
const answerStart = (messages: Messages): number =>
  messages.findLastIndex(({ role }) => role === "user" || role === "system") + 1

export const asMessages = (content: Content, role: string): Messages =>
  typeof content === "string" ? [{ role, content }] : content

/**
 * A conversation split into prompt and answer. It may repeat the prompt, as UltraFeedback's do; without a prompt of its
 * own a row's conversation must hold it. Undefined when it repeats another one.
 */
export const partedAt = (
  prompt: Content | undefined,
  whole: Messages
): { readonly head: Messages; readonly answer: Messages } | undefined => {
  const start = answerStart(whole)
  const head = whole.slice(0, start)
  const answer = whole.slice(start)
  if (prompt === undefined) return { head, answer }
  if (start === 0) return { head: asMessages(prompt, "user"), answer }
  const same = typeof prompt === "string"
    ? head.some(({ content }) => content === prompt)
    : contentKey(head) === contentKey(prompt)
  return same ? { head, answer } : undefined
}

type Rest = Pick<Example, "id" | "columns" | "tools">

/** Two conversations about one prompt, explicit or held by both, as a pair. */
export const conversationPair = (
  prompt: Content | undefined,
  chosen: Content,
  rejected: Content,
  rest: Rest
): Parted => {
  const [left, right] = [
    partedAt(prompt, asMessages(chosen, "assistant")),
    partedAt(prompt, asMessages(rejected, "assistant"))
  ]
  if (left === undefined || right === undefined || contentKey(left.head) !== contentKey(right.head)) {
    return { example: { prompt: prompt ?? left!.head, chosen, rejected, ...rest }, reason: "prompts differ" }
  }
  const example = { prompt: left.head, chosen: left.answer, rejected: right.answer, ...rest }
  if (prompt === undefined && (left.answer.length === 0 || right.answer.length === 0)) {
    return { example, reason: "no assistant turn" }
  }
  const alternate = [left, right].every(({ answer, head }) => rolesAlternate([...head, ...answer]))
  return { example, odd: alternate ? [] : ["turns do not alternate"] }
}
