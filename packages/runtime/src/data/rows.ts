// Rows of a JSONL or JSON file, plain or gzipped, each an object with an id; checked against a schema when one is given.
// Leaves out what rows mean: `normaliseHh` and `normalisePlain` make pairs of them.
import { BadFile, BadRow } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { jsonFault } from "./jsonFault.ts"
import { chunksOf, linesOf } from "./textFile.ts"

/** `id` is the 0-based number of the row, blank lines not counted. */
export interface Row<out R = unknown> {
  readonly id: string
  readonly row: R
}

type Checked<R> = (row: unknown, id: string) => Result.Result<Row<R>, BadRow>

const kindOf = (value: unknown): string =>
  value === null
    ? "null"
    : Array.isArray(value)
    ? "a list"
    : typeof value === "object"
    ? "an object"
    : `a ${typeof value}`

/** What lies at the path, cut to a length that fits a message; nothing when nothing is there. */
const got = (row: object, path: ReadonlyArray<PropertyKey>): string => {
  let value: unknown = row
  for (const key of path) value = typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined
  const text = value === undefined ? undefined : JSON.stringify(value)
  return text === undefined ? "" : `, got ${text.length > 60 ? `${text.slice(0, 57)}...` : text}`
}

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()

/** A row is an object; under a schema it is what the schema decodes it to. */
const checker = <R>(file: string, schema?: Schema.Codec<R, any>): Checked<R> => {
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

const parsed = (text: string, fail: (fault: ReturnType<typeof jsonFault>) => BadRow): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    throw fail(jsonFault(text))
  }
}

const fromLines = async <R>(file: string, check: Checked<R>, signal: AbortSignal): Promise<Array<Row<R>>> => {
  const rows: Array<Row<R>> = []
  let number = 0
  for await (const lines of linesOf(file, signal)) {
    for (const line of lines) {
      number += 1
      if (line.trim() === "") continue
      const id = String(rows.length)
      const row = parsed(
        line,
        ({ at, problem }) =>
          new BadRow({ file, row: id, problem: `malformed JSON at line ${number}, column ${at + 1}: ${problem}` })
      )
      rows.push(Result.getOrThrow(check(row, id)))
    }
  }
  return rows
}

const fromArray = async <R>(file: string, check: Checked<R>, signal: AbortSignal): Promise<Array<Row<R>>> => {
  const chunks: Array<string> = []
  for await (const chunk of chunksOf(file, signal)) chunks.push(chunk)
  const text = chunks.join("")
  const value = parsed(text, ({ at, element, problem }) => {
    const before = text.slice(0, at)
    const line = before.split("\n").length
    const column = at - before.lastIndexOf("\n")
    return new BadRow({
      file,
      row: String(element),
      problem: `malformed JSON at line ${line}, column ${column}: ${problem}`
    })
  })
  if (!Array.isArray(value)) {
    throw new BadFile({
      file,
      problem: `holds ${kindOf(value)}, not a list of rows`,
      remedy: "one row a line is .jsonl"
    })
  }
  return value.map((row, index) => Result.getOrThrow(check(row, String(index))))
}

/**
 * All rows of a `.jsonl` or `.json` file, either with `.gz`. JSONL is read line by line. Fails on the first row that is
 * not JSON, not an object or not what the schema says.
 */
export const readRows = <R = unknown>(
  path: string,
  schema?: Schema.Codec<R, any>
): Effect.Effect<ReadonlyArray<Row<R>>, BadFile | BadRow> => {
  const name = path.endsWith(".gz") ? path.slice(0, -3) : path
  const read = name.endsWith(".jsonl") ? fromLines : name.endsWith(".json") ? fromArray : undefined
  if (read === undefined) {
    return Effect.fail(
      new BadFile({
        file: path,
        problem: "unknown format",
        remedy: "rows are read from .jsonl or .json, either with .gz"
      })
    )
  }
  return Effect.tryPromise({
    try: (signal) => read(path, checker(path, schema), signal),
    catch: (error) => {
      if (error instanceof BadFile || error instanceof BadRow) return error
      // Anything that is not about the file is a bug here: thrown on, it becomes a defect.
      throw error
    }
  }).pipe(
    Effect.filterOrFail(
      (rows) => rows.length > 0,
      () => new BadFile({ file: path, problem: "holds no rows" })
    )
  )
}

/** Rows written in a pipeline file, under the same checks. */
export const inlineRows = <R = unknown>(
  rows: ReadonlyArray<unknown>,
  schema?: Schema.Codec<R, any>
): Result.Result<ReadonlyArray<Row<R>>, BadRow> => {
  const check = checker("inline rows", schema)
  return Result.all(rows.map((row, index) => check(row, String(index))))
}
