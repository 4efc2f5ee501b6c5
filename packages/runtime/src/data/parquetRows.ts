// Rows of a Parquet file, one row group at a time, and only the columns that are asked for.
// hyparquet decodes; what it lets pass is checked here, since it gives fewer or undefined values where a file is damaged:
// every column must have a value (or null) for every row, and every value must have a place in JSON.
// Leaves out the oldest way to write lists, a bare repeated field: of those an empty one is read as null.
import { BadFile, BadRow } from "@penchant/dsl/Errors"
import {
  type AsyncBuffer,
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
  type SchemaTree
} from "hyparquet"
import { compressors } from "hyparquet-compressors"
import { damagedPage, extentOf, type RowGroup } from "./parquetPages.ts"
import type { Batches, FormatOptions } from "./rows.ts"
import { unreadable } from "./textFile.ts"

/** Replacement characters would be other text than the file's. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const parsers = { stringFromBytes: (bytes: Uint8Array | undefined): unknown => bytes && utf8.decode(bytes) }

/** The value as JSON has it: 64-bit integers as numbers, dates as text, what nesting leaves undefined as null. */
const plain = (value: unknown, path: string, fail: (path: string, problem: string) => never): unknown => {
  if (typeof value === "string" || typeof value === "boolean") return value
  if (value === undefined || value === null) return null
  if (typeof value === "number") return Number.isFinite(value) ? value : fail(path, `is ${value}`)
  if (typeof value === "bigint") {
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : fail(path, `is ${value}, more than a number holds exactly`)
  }
  if (Array.isArray(value)) return value.map((item, index) => plain(item, `${path}.${index}`, fail))
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? fail(path, "is no date") : value.toISOString()
  if (ArrayBuffer.isView(value)) return fail(path, "holds bytes, not text")
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, plain(inner, `${path}.${key}`, fail)] as const)
  )
}

/** What the library throws says what it stumbled over, in its own terms. */
const reading = async <A>(file: string, what: string, run: () => Promise<A>): Promise<A> => {
  try {
    return await run()
  } catch (error) {
    if (error instanceof BadFile) throw error
    if (error instanceof Error && "code" in error && error.code !== "ERR_ENCODING_INVALID_ENCODED_DATA") {
      throw unreadable(file, error)
    }
    // These two are what it slips on, not what it says.
    const slip = error instanceof TypeError || error instanceof RangeError
    const problem = slip ? " is damaged" : `: ${error instanceof Error ? error.message : String(error)}`
    throw new BadFile({ file, problem: `not a readable Parquet file: ${what}${problem}`, remedy: "fetch it again" })
  }
}

/** The schema's columns that hold values, in order. */
const leavesOf = (tree: SchemaTree): ReadonlyArray<SchemaTree> =>
  tree.children.length === 0 ? [tree] : tree.children.flatMap(leavesOf)

/** Rows of each group; throws when the parts of the footer do not fit together or to the file. */
const groupsOf = (
  file: string,
  { byteLength }: AsyncBuffer,
  { num_rows, row_groups }: FileMetaData,
  leaves: ReadonlyArray<SchemaTree>
) => {
  const bad = (problem: string): never => {
    throw new BadFile({ file, problem: `not a readable Parquet file: the footer ${problem}`, remedy: "fetch it again" })
  }
  const rows = row_groups.map((group) => Number(group.num_rows))
  const total = rows.reduce((sum, count) => sum + count, 0)
  // Old writers leave the total at 0.
  if (Number(num_rows) !== 0 && Number(num_rows) !== total) bad(`counts ${num_rows} rows, its row groups ${total}`)
  for (const [index, count] of rows.entries()) {
    if (!(count >= 0)) bad(`gives row group ${index} ${count} rows`)
    const { columns } = row_groups[index]!
    if (columns.length !== leaves.length) {
      bad(`has ${columns.length} columns in row group ${index}, ${leaves.length} in the schema`)
    }
    for (const [c, { meta_data: column }] of columns.entries()) {
      if (column === undefined) return bad("lacks the metadata of a column")
      const { element, path } = leaves[c]!
      // A chunk under another name is never waited for by the library, and its failure would end the process.
      if (column.path_in_schema.join("\0") !== path.join("\0") || column.type !== element.type) {
        bad(
          `has column ${column.path_in_schema.join(".")} of ${column.type} where ${
            path.join(".")
          } of ${element.type} is due`
        )
      }
      const [start, end] = extentOf(column)
      if (!(start >= 4 && end <= byteLength && end > start)) bad(`puts a column at bytes ${start} to ${end}`)
      if (!(Number(column.num_values) >= count)) bad(`gives ${column.num_values} values to ${count} rows`)
    }
  }
  return rows
}

/** The column chunks of a group that are wanted, read once: checked here, and handed to the library as the file. */
const chunksOf = async (
  file: string,
  buffer: AsyncBuffer,
  group: RowGroup,
  wanted: ReadonlyArray<string>
): Promise<AsyncBuffer> => {
  const chunks = new Map<number, ArrayBuffer>()
  for (const { meta_data: column } of group.columns) {
    if (column === undefined || !wanted.includes(column.path_in_schema[0]!)) continue
    const [start, end] = extentOf(column)
    const chunk = await buffer.slice(start, end)
    const problem = damagedPage(chunk, Number(column.num_values))
    if (problem !== undefined) {
      throw new BadFile({ file, problem: `damaged: column ${column.path_in_schema.join(".")}: ${problem}` })
    }
    chunks.set(start, chunk)
  }
  return {
    byteLength: buffer.byteLength,
    slice: (start, end) => {
      const chunk = chunks.get(start)
      return chunk !== undefined && end === start + chunk.byteLength ? chunk : buffer.slice(start, end)
    }
  }
}

export async function* parquetRows(file: string, { columns, first, signal }: FormatOptions): Batches {
  const buffer = await reading(file, "opening it", () => asyncBufferFromFile(file))
  const metadata = await reading(file, "its footer", () => parquetMetadataAsync(buffer))
  const tree = await reading(file, "its schema", () => Promise.resolve(parquetSchema(metadata)))
  const all = tree.children.map(({ children, element }) => ({
    name: element.name,
    flat: children.length === 0 && element.repetition_type !== "REPEATED"
  }))
  const wanted = columns === undefined ? all : all.filter(({ name }) => columns.includes(name))
  const counts = await reading(file, "its footer", async () => groupsOf(file, buffer, metadata, leavesOf(tree)))
  let id = first
  for (const [index, group] of metadata.row_groups.entries()) {
    signal.throwIfAborted()
    const asked = wanted.map(({ name }) => name)
    const rows = await reading(file, `row group ${index}`, async () =>
      parquetReadObjects({
        file: await chunksOf(file, buffer, group, asked),
        metadata: { ...metadata, num_rows: group.num_rows, row_groups: [group] },
        columns: asked,
        compressors,
        parsers
      }))
    if (rows.length !== counts[index]) {
      throw new BadFile({
        file,
        problem: `not a readable Parquet file: row group ${index} has ${rows.length} rows, its footer says ${
          counts[index]
        }`,
        remedy: "fetch it again"
      })
    }
    yield rows.map((row) => {
      const fail = (path: string, problem: string): never => {
        throw new BadRow({ file, row: String(id), field: path, problem })
      }
      const made = Object.fromEntries(wanted.map(({ flat, name }) => // A null of a flat column is null; undefined is a page that ended early or a dictionary without the entry.
      [
        name,
        flat && row[name] === undefined ? fail(name, "has no value: the file is damaged") : plain(row[name], name, fail)
      ]))
      id += 1
      return made
    })
  }
}
