// Rows with `prompt`, `chosen` and `rejected` fields, as text or as chat messages, `tools` for the chat template, and
// numeric columns to carry along. Messages may repeat the prompt: the answer is then what follows the last turn that is
// not the assistant's.
import { contentIn, conversationPair, toolsIn } from "./conversation.ts"
import type { Fields, Part } from "./normalised.ts"
import type { Row } from "./rows.ts"

/** The numbers in the fields named. */
export const columnsIn = (fields: Fields, row: Row, names: ReadonlyArray<string>): Record<string, number> =>
  Object.fromEntries(names.map((name) => [name, fields.finite(row, name)]))

export const plainPart = (fields: Fields, columns: ReadonlyArray<string>): Part => (row) => {
  const [prompt, chosen, rejected] = [
    contentIn(fields, row, "prompt"),
    contentIn(fields, row, "chosen"),
    contentIn(fields, row, "rejected")
  ]
  const rest = { id: row.id, columns: columnsIn(fields, row, columns), ...toolsIn(fields, row) }
  return typeof prompt === "string" && typeof chosen === "string" && typeof rejected === "string"
    ? { example: { prompt, chosen, rejected, ...rest } }
    : conversationPair(prompt, chosen, rejected, rest)
}
