// Rows of a CSV file with a header line, plain or gzipped: every field is text, numbers are the schema's to read
// (`Schema.FiniteFromString`). RFC 4180; a line with too few or too many fields is an error.
import { BadFile, BadRow } from "@penchant/dsl/Errors"
import { CsvError, parse } from "csv-parse"
import { pipeline, Readable } from "node:stream"
import type { Batches, FormatOptions } from "./rows.ts"
import { chunksOf } from "./textFile.ts"

const batch = 1024
/** Characters of one row: a quote that is never closed must not swallow a file of any size. */
const longestRow = 2 ** 24

const lineOf = (error: CsvError): string =>
  "lines" in error && typeof error.lines === "number" ? ` (line ${error.lines})` : ""

/** Names of columns, each once. */
const header = (file: string) => (names: ReadonlyArray<string>): Array<string> => {
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new BadFile({ file, problem: `two columns are called "${twice}"` })
  return [...names]
}

export async function* csvRows(file: string, { first, signal }: FormatOptions): Batches {
  const parser = parse({
    columns: header(file),
    skip_empty_lines: true,
    max_record_size: longestRow,
    // Left to itself the library takes the first end of a line for all of them.
    record_delimiter: ["\r\n", "\n"]
  })
  // An error on either side destroys the parser with it, so that the loop sees it.
  pipeline(Readable.from(chunksOf(file, signal)), parser, () => undefined)
  let count = first
  let rows: Array<unknown> = []
  try {
    for await (const row of parser as AsyncIterable<unknown>) {
      rows.push(row)
      count += 1
      if (rows.length === batch) {
        yield rows
        rows = []
      }
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    throw new BadRow({ file, row: String(count), problem: `malformed CSV: ${error.message}${lineOf(error)}` })
  }
  yield rows
}
