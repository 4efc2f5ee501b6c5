// Rows and examples as JSONL, one a line, for artifacts. Rows are read by `rows.ts`.
import { BadRow, type DataError } from "@penchant/dsl/Errors"
import { Example } from "@penchant/dsl/Pair"
import * as Effect from "effect/Effect"
import { digests } from "./digests.ts"
import { type Row, rowBatches, typed } from "./rows.ts"

const lines = (values: ReadonlyArray<string>): Uint8Array => Buffer.from(values.map((line) => `${line}\n`).join(""))

/** `rows.jsonl`: the rows themselves; their ids are their numbers, so reading gives the same ids. */
export const encodeRows = (rows: ReadonlyArray<Row>): Uint8Array => lines(rows.map(({ row }) => JSON.stringify(row)))

/** An example as a line of `pairs.jsonl`, fields in one order whatever the order of the object. */
export const exampleLine = (example: Example): string => {
  const { columns, id, prompt, tools } = example
  const answers = "answer" in example
    ? { answer: example.answer }
    : { chosen: example.chosen, rejected: example.rejected }
  const implicit = "implicit" in example ? { implicit: example.implicit } : {}
  return JSON.stringify({ id, prompt, ...answers, columns, ...implicit, ...(tools === undefined ? {} : { tools }) })
}

export const encodePairs = (examples: ReadonlyArray<Example>): Uint8Array => lines(examples.map(exampleLine))

/** The examples of a file in batches, each checked, ids unique. Throws `BadFile` and `BadRow`. */
export async function* pairBatches(path: string, signal: AbortSignal): AsyncGenerator<ReadonlyArray<Example>> {
  const seen = digests()
  for await (const batch of rowBatches([path], Example, signal)) {
    yield batch.map(({ id, row }) => {
      const before = seen.size
      seen.add(row.id)
      if (seen.size > before) return row
      throw new BadRow({ file: path, row: id, field: "id", problem: `"${row.id}" is the id of an earlier pair` })
    })
  }
}

/** All examples of a file, at once. */
export const readPairs = (path: string): Effect.Effect<ReadonlyArray<Example>, DataError> =>
  typed(async (signal) => {
    const all: Array<Example> = []
    for await (const batch of pairBatches(path, signal)) for (const example of batch) all.push(example)
    return all
  }).pipe(Effect.catchTag("StoreError", Effect.die))
