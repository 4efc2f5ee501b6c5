// Rows and examples as JSONL, one a line, for artifacts. Rows are read by `rows.ts`.
import { BadRow, type DataError } from "@penchant/dsl/Errors"
import { Example } from "@penchant/dsl/Pair"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { type Lines, parseLines } from "./jsonlRows.ts"
import { repeats } from "./repeats.ts"
import { type Row, rowBatches, rowChecker, typed } from "./rows.ts"

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

/** The examples in some lines of a file, each checked but for its id. Throws `BadRow`. */
export const examplesIn = (file: string): (lines: Lines) => ReadonlyArray<Example> => {
  const check = rowChecker(file, Example)
  return (lines) => parseLines(file, lines).map((row, i) => Result.getOrThrow(check(row, String(lines.first + i))).row)
}

/** Whether the ids of a file's examples, given in order, are unique, which is known at the end. Throws `StoreError`. */
export const uniqueIds = (file: string, signal: AbortSignal) => {
  const ids = repeats()
  let count = 0
  return {
    add: (id: string): void => ids.add(count++, id),
    close: ids.close,
    /** Throws `BadRow`. */
    finish: async (): Promise<void> => {
      const [repeat] = ids.finish()
      if (repeat === undefined) return
      // Which id that is, for the message.
      for await (const batch of rowBatches([file], Example, signal)) {
        const found = batch.find(({ id }) => id === String(repeat.index))
        if (found === undefined) continue
        const problem = `"${found.row.id}" is the id of an earlier pair, row ${repeat.first}`
        throw new BadRow({ file, row: found.id, field: "id", problem })
      }
    }
  }
}

/** The examples of a file in batches, each checked; that ids are unique is known at the end. Throws what `rowBatches` throws, and `StoreError`. */
export async function* pairBatches(path: string, signal: AbortSignal): AsyncGenerator<ReadonlyArray<Example>> {
  const unique = uniqueIds(path, signal)
  try {
    for await (const batch of rowBatches([path], Example, signal)) {
      for (const { row } of batch) unique.add(row.id)
      yield batch.map(({ row }) => row)
    }
    await unique.finish()
  } finally {
    unique.close()
  }
}

/** All examples of a file, at once. */
export const readPairs = (path: string): Effect.Effect<ReadonlyArray<Example>, DataError> =>
  typed(async (signal) => {
    const all: Array<Example> = []
    for await (const batch of pairBatches(path, signal)) for (const example of batch) all.push(example)
    return all
  }).pipe(Effect.catchTag("StoreError", Effect.die))
