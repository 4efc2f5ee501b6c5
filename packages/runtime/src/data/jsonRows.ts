// Rows of a JSON file that is one list, plain or gzipped. It is held whole, which a list needs to be parsed.
import { BadFile, BadRow } from "@penchant/dsl/Errors"
import { jsonFault } from "./jsonFault.ts"
import { kindOf } from "./kindOf.ts"
import type { Batches, FormatOptions } from "./rows.ts"
import { chunksOf, longestText } from "./textFile.ts"

const parsed = (file: string, text: string, first: number): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    const { at, element, problem } = jsonFault(text)
    const before = text.slice(0, at)
    const line = before.split("\n").length
    const column = at - before.lastIndexOf("\n")
    throw new BadRow({
      file,
      row: String(first + element),
      problem: `malformed JSON at line ${line}, column ${column}: ${problem}`
    })
  }
}

export async function* jsonRows(file: string, { first, signal }: FormatOptions): Batches {
  const chunks: Array<string> = []
  let length = 0
  for await (const chunk of chunksOf(file, signal)) {
    chunks.push(chunk)
    length += chunk.length
    if (length > longestText) {
      throw new BadFile({ file, problem: `more than ${longestText} characters`, remedy: "one row a line is .jsonl" })
    }
  }
  const value = parsed(file, chunks.join(""), first)
  if (!Array.isArray(value)) {
    throw new BadFile({
      file,
      problem: `holds ${kindOf(value)}, not a list of rows`,
      remedy: "one row a line is .jsonl"
    })
  }
  yield value
}
