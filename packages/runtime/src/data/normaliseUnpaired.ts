// Rows of one answer and whether it was liked, as KTO reads them: `label` with `messages`, with ShareGPT `conversations`,
// or with `prompt` and `completion`. Column `label` is 1 for a liked answer, 0 for another.
import type { Content, Message } from "@penchant/dsl/Pair"
import { asMessages, contentIn, messagesIn, partedAt, toolsIn } from "./conversation.ts"
import { type Fields, type Part, rolesAlternate } from "./normalised.ts"
import { conversationIn } from "./normaliseSharegpt.ts"
import type { Row } from "./rows.ts"

const labelOf = (fields: Fields, row: Row): number => {
  const name = fields.maybe(row, "label") === undefined && fields.maybe(row, "kto_tag") !== undefined
    ? "kto_tag"
    : "label"
  const label = fields.value(row, name)
  if (label === true || label === 1) return 1
  if (label === false || label === 0) return 0
  throw fields.bad(row, name, `is ${JSON.stringify(label)}, neither true nor false`)
}

const wholeOf = (fields: Fields, row: Row): ReadonlyArray<Message> => {
  if (fields.maybe(row, "messages") === undefined) return conversationIn(fields, row)
  const messages = contentIn(fields, row, "messages")
  if (typeof messages === "string") throw fields.bad(row, "messages", "is text, not a list of messages")
  return messagesIn(fields, row, "messages", messages)
}

export const unpairedPart = (fields: Fields): Part => (row) => {
  const rest = { id: row.id, columns: { label: labelOf(fields, row) }, ...toolsIn(fields, row) }
  const apart = fields.maybe(row, "completion") !== undefined
  const prompt: Content | undefined = apart ? contentIn(fields, row, "prompt") : undefined
  const whole: Content = apart ? contentIn(fields, row, "completion") : wholeOf(fields, row)
  if (typeof prompt === "string" && typeof whole === "string") return { example: { prompt, answer: whole, ...rest } }
  const parted = partedAt(prompt, asMessages(whole, "assistant"))
  if (parted === undefined) return { example: { prompt: prompt!, answer: whole, ...rest }, reason: "prompts differ" }
  const { answer, head } = parted
  return {
    example: { prompt: head, answer, ...rest },
    reason: answer.length === 0 ? "no assistant turn" : undefined,
    odd: rolesAlternate([...head, ...answer]) ? [] : ["turns do not alternate"]
  }
}
