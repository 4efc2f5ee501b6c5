// Rows of a JSONL file, one a line, plain or gzipped. Blank lines are skipped.
import { BadRow } from "@penchant/dsl/Errors"
import { jsonFault } from "./jsonFault.ts"
import type { Batches, FormatOptions } from "./rows.ts"
import { linesOf } from "./textFile.ts"

export async function* jsonlRows(file: string, { first, signal }: FormatOptions): Batches {
  let number = 0
  let count = first
  for await (const lines of linesOf(file, signal)) {
    const rows: Array<unknown> = []
    for (const line of lines) {
      number += 1
      if (line.trim() === "") continue
      try {
        rows.push(JSON.parse(line))
      } catch {
        const { at, problem } = jsonFault(line)
        throw new BadRow({
          file,
          row: String(count),
          problem: `malformed JSON at line ${number}, column ${at + 1}: ${problem}`
        })
      }
      count += 1
    }
    yield rows
  }
}
