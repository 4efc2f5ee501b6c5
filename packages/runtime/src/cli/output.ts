// What commands write to stdout: tables for people, one JSON document under --json.
import * as Flag from "effect/cli/Flag"
import * as path from "node:path"

export const json = Flag.Boolean("json").pipe(
  Flag.withDefault(false),
  Flag.withDescription("One JSON document on stdout; logs go to stderr")
)

export const print = (text: string): void => void process.stdout.write(`${text}\n`)
export const printJson = (value: unknown): void => print(JSON.stringify(value, undefined, 2))

/** Columns aligned by content; numbers belong right-aligned, so columns may say `right`. */
export const table = (
  header: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  right: ReadonlyArray<number> = []
): string => {
  const widths = header.map((name, i) => Math.max(name.length, ...rows.map((row) => (row[i] ?? "").length)))
  const line = (row: ReadonlyArray<string>): string =>
    row.map((cell, i) => (right.includes(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join("  ").trimEnd()
  return [line(header), line(widths.map((width) => "─".repeat(width))), ...rows.map(line)].join("\n")
}

/** A path as people type it: relative to the working directory where that is shorter. */
export const relative = (at: string): string => {
  const short = path.relative(process.cwd(), at)
  return short.startsWith("..") ? at : short
}
