// Rows of a data file or of a folder of them, each an object with an id, checked against a schema when one is given.
// They come in batches, so that a file of any length passes through a bounded buffer.
// Leaves out what rows mean: the normalisers make pairs of them.
import { BadFile, BadRow, type DataError, StoreError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { csvRows } from "./csvRows.ts"
import { jsonlRows } from "./jsonlRows.ts"
import { jsonRows } from "./jsonRows.ts"
import { kindOf } from "./kindOf.ts"
import { parquetRows } from "./parquetRows.ts"

/** `id` is the 0-based number of the row in all files together, blank lines not counted. */
export interface Row<out R = unknown> {
  readonly id: string
  readonly row: R
}

/** What a format gives: rows as they are, a few thousand at most or one row group at a time. */
export type Batches = AsyncGenerator<ReadonlyArray<unknown>>

export interface FormatOptions {
  readonly signal: AbortSignal
  /** Top-level columns that are asked for; all when left out. Formats that can skip the others do. */
  readonly columns?: ReadonlyArray<string>
  /** Id of the file's first row, for messages. */
  readonly first: number
}

type Format = (file: string, options: FormatOptions) => Batches

/** By the end of the name. */
const formats: Readonly<Record<string, Format>> = {
  ".jsonl": jsonlRows,
  ".jsonl.gz": jsonlRows,
  ".json": jsonRows,
  ".json.gz": jsonRows,
  ".csv": csvRows,
  ".csv.gz": csvRows,
  ".parquet": parquetRows
}

/** The ends of names that rows are read from. */
export const extensions: ReadonlyArray<string> = Object.keys(formats)

const formatOf = (file: string): Format => {
  const extension = extensions.find((end) => file.endsWith(end))
  if (extension !== undefined) return formats[extension]!
  throw new BadFile({
    file,
    problem: "unknown format",
    remedy: "rows are read from .jsonl, .json or .csv, each also with .gz, and from .parquet"
  })
}

type Checked<R> = (row: unknown, id: string) => Result.Result<Row<R>, BadRow>

/** What lies at the path, cut to a length that fits a message; nothing when nothing is there. */
const got = (row: object, path: ReadonlyArray<PropertyKey>): string => {
  let value: unknown = row
  for (const key of path) value = typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined
  const text = value === undefined ? undefined : JSON.stringify(value)
  return text === undefined ? "" : `, got ${text.length > 60 ? `${text.slice(0, 57)}...` : text}`
}

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()

/** A row is an object; under a schema it is what the schema decodes it to. */
export const rowChecker = <R>(file: string, schema?: Schema.Codec<R, any>): Checked<R> => {
  const decode = schema === undefined ? undefined : Schema.decodeUnknownResult(schema)
  return (row, id) => {
    if (typeof row !== "object" || row === null || Array.isArray(row)) {
      return Result.fail(new BadRow({ file, row: id, problem: `is ${kindOf(row)}, not an object` }))
    }
    if (decode === undefined) return Result.succeed({ id, row: row as R })
    const decoded = decode(row)
    if (Result.isSuccess(decoded)) return Result.succeed({ id, row: decoded.success })
    const [first] = issuesOf(decoded.failure.issue).issues
    const path = (first?.path ?? []).map((part) => typeof part === "object" ? part.key : part)
    return Result.fail(
      new BadRow({
        file,
        row: id,
        ...(path.length === 0 ? {} : { field: path.map(String).join(".") }),
        problem: (first?.message ?? decoded.failure.message) + got(row, path)
      })
    )
  }
}

/** The columns that a schema reads; undefined when it is none or no struct, and may read any. */
const columnsOf = (schema?: Schema.Top): ReadonlyArray<string> | undefined =>
  schema !== undefined && "fields" in schema && typeof schema.fields === "object" && schema.fields !== null
    ? Object.keys(schema.fields)
    : undefined

export const noRows = (file: string): BadFile => new BadFile({ file, problem: "holds no rows" })

/**
 * Rows of files, one after the other, in batches. Throws `BadFile` or `BadRow` on the first file or row that is not what
 * its name or the schema says, and when there is no row at all.
 */
export async function* rowBatches<R = unknown>(
  files: ReadonlyArray<string>,
  schema: Schema.Codec<R, any> | undefined,
  signal: AbortSignal
): AsyncGenerator<ReadonlyArray<Row<R>>> {
  const columns = columnsOf(schema)
  let count = 0
  for (const file of files) {
    const check = rowChecker(file, schema)
    const batches = formatOf(file)(file, { signal, first: count, ...(columns === undefined ? {} : { columns }) })
    for await (const batch of batches) {
      const from = count
      count += batch.length
      yield batch.map((row, index) => Result.getOrThrow(check(row, String(from + index))))
    }
  }
  if (count === 0) throw noRows(files.length === 1 ? files[0]! : `${files.length} files`)
}

/** Runs what throws typed errors; anything else that is thrown is a bug here, and becomes a defect. */
export const typed = <A>(run: (signal: AbortSignal) => Promise<A>): Effect.Effect<A, DataError | StoreError> =>
  Effect.tryPromise({
    try: run,
    catch: (error) => {
      if (error instanceof BadFile || error instanceof BadRow || error instanceof StoreError) return error
      throw error
    }
  })

/** All rows of a file, at once. */
export const readRows = <R = unknown>(
  path: string,
  schema?: Schema.Codec<R, any>
): Effect.Effect<ReadonlyArray<Row<R>>, BadFile | BadRow> =>
  typed(async (signal) => {
    const rows: Array<Row<R>> = []
    for await (const batch of rowBatches([path], schema, signal)) for (const row of batch) rows.push(row)
    return rows
  }).pipe(Effect.catchTag("StoreError", Effect.die))

/** Rows written in a pipeline file, under the same checks. */
export const inlineRows = <R = unknown>(
  rows: ReadonlyArray<unknown>,
  schema?: Schema.Codec<R, any>
): Result.Result<ReadonlyArray<Row<R>>, BadRow> => {
  const check = rowChecker("inline rows", schema)
  return Result.all(rows.map((row, index) => check(row, String(index))))
}
