// Rows and pairs as JSONL, one a line, for artifacts. Reading is `readRows`, with the schema of a pair for pairs.
import { type BadFile, BadRow } from "@penchant/dsl/Errors"
import { Pair } from "@penchant/dsl/Pair"
import * as Effect from "effect/Effect"
import { readRows, type Row } from "./rows.ts"

/** Lines encoded at a time: enough to be fast, few enough that no string nears the engine's limit. */
const stride = 1024

const encodeLines = (values: ReadonlyArray<unknown>): Uint8Array => {
  const chunks: Array<Uint8Array> = []
  for (let at = 0; at < values.length; at += stride) {
    const lines = values.slice(at, at + stride).map((value) => `${JSON.stringify(value)}\n`)
    chunks.push(Buffer.from(lines.join(""), "utf8"))
  }
  return Buffer.concat(chunks)
}

/** `rows.jsonl`: the rows themselves; their ids are their numbers, so reading gives the same ids. */
export const encodeRows = (rows: ReadonlyArray<Row>): Uint8Array => encodeLines(rows.map(({ row }) => row))

/** `pairs.jsonl`, fields in one order whatever the order of the objects. */
export const encodePairs = (pairs: ReadonlyArray<Pair>): Uint8Array =>
  encodeLines(pairs.map(({ chosen, columns, id, prompt, rejected }) => ({ id, prompt, chosen, rejected, columns })))

/** The pairs of a file, each checked, ids unique. */
export const readPairs: (path: string) => Effect.Effect<ReadonlyArray<Pair>, BadFile | BadRow> = Effect.fnUntraced(
  function*(path) {
    const rows = yield* readRows(path, Pair)
    const seen = new Set<string>()
    for (const { id, row } of rows) {
      if (seen.has(row.id)) {
        return yield* new BadRow({
          file: path,
          row: id,
          field: "id",
          problem: `"${row.id}" is the id of an earlier pair`
        })
      }
      seen.add(row.id)
    }
    return rows.map(({ row }) => row)
  }
)
