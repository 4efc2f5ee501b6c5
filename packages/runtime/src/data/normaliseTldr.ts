// Rows of Reddit TL;DR comparisons: OpenAI's own (`info`, `summaries`, `choice`) and the mirrors that have prompt, chosen
// and rejected as text (trl-lib/tldr-preference, CarperAI/openai_summarize_comparisons). All get one prompt, the one that
// trl-lib writes, which ends with "TL;DR:"; summaries are taken as they are, their leading space included.
import type { Fields, Part } from "./normalised.ts"
import type { Row } from "./rows.ts"

const mark = "TL;DR:"

const oneBreak = (text: string): string => text.replaceAll("\n\n", "\n")

/** The prompt of an `info`: a Reddit post, or an article of CNN/DM. */
const promptOf = (fields: Fields, row: Row): string => {
  const info: Row = { id: row.id, row: fields.value(row, "info") }
  const part = (name: string): string => {
    const found = fields.maybe(info, name)
    if (typeof found !== "string") throw fields.bad(row, `info.${name}`, "is no text")
    return found
  }
  const title = part("title")
  return fields.maybe(info, "post") === undefined
    ? `TITLE: ${title}\n\n${oneBreak(part("article"))}\n\n${mark}`
    : `SUBREDDIT: r/${part("subreddit")}\n\nTITLE: ${title}\n\nPOST: ${oneBreak(part("post"))}\n\n${mark}`
}

const summaries = (fields: Fields, row: Row): readonly [string, string] => {
  const choice = fields.finite(row, "choice")
  if (choice !== 0 && choice !== 1) throw fields.bad(row, "choice", `is ${choice}, neither 0 nor 1`)
  const list = fields.value(row, "summaries")
  if (!Array.isArray(list) || list.length !== 2) throw fields.bad(row, "summaries", "are not two")
  const text = (index: number): string => {
    const found: unknown = list[index]
    const summary = typeof found === "object" && found !== null && "text" in found ? found.text : undefined
    if (typeof summary !== "string") throw fields.bad(row, `summaries.${index}.text`, "is no text")
    return summary
  }
  return [text(choice), text(1 - choice)]
}

/** CarperAI's summaries start with the mark, which belongs to the prompt. */
const marked = (prompt: string, chosen: string, rejected: string) =>
  !prompt.trimEnd().endsWith(mark) && chosen.startsWith(mark) && rejected.startsWith(mark)
    ? {
      prompt: `${prompt.trimEnd()}\n\n${mark}`,
      chosen: chosen.slice(mark.length),
      rejected: rejected.slice(mark.length)
    }
    : { prompt, chosen, rejected }

export const tldrPart = (fields: Fields): Part => (row) => {
  if (fields.maybe(row, "info") === undefined) {
    const [prompt, chosen, rejected] = [
      fields.text(row, "prompt"),
      fields.text(row, "chosen"),
      fields.text(row, "rejected")
    ]
    return { example: { id: row.id, ...marked(prompt, chosen, rejected), columns: {} } }
  }
  const [chosen, rejected] = summaries(fields, row)
  return { example: { id: row.id, prompt: promptOf(fields, row), chosen, rejected, columns: {} } }
}
