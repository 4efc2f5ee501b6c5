// Rows of the ShareGPT kind with a preference: `conversations` of { from, value }, `chosen` and `rejected` turns (one or
// several), and, where there are any, `system` and `tools`, as LLaMA-Factory writes them.
import type { Message } from "@penchant/dsl/Pair"
import { conversationPair, toolsIn } from "./conversation.ts"
import type { Fields, Part } from "./normalised.ts"
import type { Row } from "./rows.ts"

const roles: Readonly<Record<string, string>> = {
  human: "user",
  user: "user",
  gpt: "assistant",
  assistant: "assistant",
  function_call: "assistant",
  system: "system",
  observation: "tool",
  tool: "tool"
}

/** What a `function_call` turn says, as a template reads it; undefined when it is no JSON. */
const callsOf = (value: string): ReadonlyArray<unknown> | undefined => {
  try {
    const call: unknown = JSON.parse(value)
    return (Array.isArray(call) ? call : [call]).map((one: unknown) => ({ type: "function", function: one }))
  } catch {
    return undefined
  }
}

/** Turns of { from, value } in a field, one or a list. */
export const turnsIn = (fields: Fields, row: Row, name: string): ReadonlyArray<Message> => {
  const value = fields.value(row, name)
  return (Array.isArray(value) ? value : [value]).map((turn: unknown, index) => {
    const at = Array.isArray(value) ? `${name}.${index}` : name
    const { from, value: content } = (typeof turn === "object" && turn !== null ? turn : {}) as {
      readonly from?: unknown
      readonly value?: unknown
    }
    const role = typeof from === "string" ? roles[from] : undefined
    if (typeof content !== "string" || typeof from !== "string") {
      throw fields.bad(row, at, `is no turn with "from" and "value", both text`)
    }
    if (role === undefined) {
      throw fields.bad(row, `${at}.from`, `is "${from}", not one of ${Object.keys(roles).join(" ")}`)
    }
    if (from !== "function_call") return { role, content }
    const tool_calls = callsOf(content)
    if (tool_calls === undefined) throw fields.bad(row, `${at}.value`, "is no JSON of a function call")
    return { role, content: "", tool_calls }
  })
}

/** The conversation with its system turn first. */
export const conversationIn = (fields: Fields, row: Row): ReadonlyArray<Message> => {
  const turns = turnsIn(fields, row, "conversations")
  const system = fields.maybe(row, "system") === undefined ? "" : fields.text(row, "system")
  return system === "" || turns[0]?.role === "system" ? turns : [{ role: "system", content: system }, ...turns]
}

export const sharegptPart = (fields: Fields): Part => (row) => {
  const prompt = conversationIn(fields, row)
  const rest = { id: row.id, columns: {}, ...toolsIn(fields, row) }
  return conversationPair(prompt, turnsIn(fields, row, "chosen"), turnsIn(fields, row, "rejected"), rest)
}
