// Rows of a JSONL file, one a line, plain or gzipped. Blank lines are skipped.
import { BadRow } from "@penchant/dsl/Errors"
import { jsonFault } from "./jsonFault.ts"
import type { Batches, FormatOptions } from "./rows.ts"
import { linesOf } from "./textFile.ts"

/** Some lines of a file, and where they stand in it. */
export interface Lines {
  readonly texts: ReadonlyArray<string>
  /** Lines of the file before them. */
  readonly before: number
  /** The number of their first row. */
  readonly first: number
}

const blank = (line: string): boolean => line.trim() === ""

export const rowsIn = ({ texts }: Pick<Lines, "texts">): number =>
  texts.reduce((count, line) => count + (blank(line) ? 0 : 1), 0)

export const parseLines = (file: string, { before, first, texts }: Lines): Array<unknown> => {
  const rows: Array<unknown> = []
  for (const [i, line] of texts.entries()) {
    if (blank(line)) continue
    try {
      rows.push(JSON.parse(line))
    } catch {
      const { at, problem } = jsonFault(line)
      throw new BadRow({
        file,
        row: String(first + rows.length),
        problem: `malformed JSON at line ${before + i + 1}, column ${at + 1}: ${problem}`
      })
    }
  }
  return rows
}

/** Lines of a file in batches as they come, their rows numbered from `first`. */
export async function* lineBatches(file: string, { first, signal }: FormatOptions): AsyncGenerator<Lines> {
  let before = 0
  for await (const texts of linesOf(file, signal)) {
    yield { texts, before, first }
    before += texts.length
    first += rowsIn({ texts })
  }
}

export async function* jsonlRows(file: string, options: FormatOptions): Batches {
  for await (const lines of lineBatches(file, options)) yield parseLines(file, lines)
}
