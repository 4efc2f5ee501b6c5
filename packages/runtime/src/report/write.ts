// Writes a report: the page, and the metrics of its runs as JSON lines beside it. Whole or not at all.
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Schema from "effect/Schema"
import type { ReportData, Run } from "./ReportData.ts"

/** The report could not be written; what the runs computed is in the store all the same. */
export class ReportNotWritten extends Schema.TaggedError<ReportNotWritten>()("ReportNotWritten", {
  path: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.path}: ${this.problem}; choose another place with -o, nothing has to run again`
  }
}

export interface Written {
  readonly what: string
  readonly path: string
}

/** One line per training step (`split: "train"`) and per snapshot (`split: "held-out"`), runs in order. */
const linesOf = ({ curve, label, metrics }: Run): ReadonlyArray<string> => {
  const { steps = [], ...columns } = curve ?? {}
  return [
    ...metrics.map((at) => JSON.stringify(Object.assign({ run: label, split: "train" }, at))),
    ...steps.map((step, i) => {
      const values = Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, column[i]]))
      return JSON.stringify(Object.assign({ run: label, split: "held-out", step }, values))
    })
  ]
}

/** The metrics file, a line break after every line. */
export const metricsLines = (data: ReportData): string => data.runs.flatMap(linesOf).map((line) => `${line}\n`).join("")

const writeWhole = Effect.fnUntraced(function*(file: string, text: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  yield* fs.makeDirectory(path.dirname(file), { recursive: true })
  // in the same directory: a rename is atomic only within a file system
  const temporary = yield* fs.makeTempFileScoped({ directory: path.dirname(file), prefix: ".report-" })
  yield* fs.writeFileString(temporary, text)
  yield* fs.chmod(temporary, 0o644)
  yield* fs.rename(temporary, file)
}, Effect.scoped)

const notWritten = (at: string) => (error: PlatformError) => new ReportNotWritten({ path: at, problem: error.message })

/** One page, whole or not at all. */
export const writePage = (file: string, text: string) => Effect.mapError(writeWhole(file, text), notWritten(file))

/** Writes `x.html` and `x.metrics.jsonl`; the latter only where there are metrics. Gives what was written, in order. */
export const writeReport = Effect.fn("writeReport")(function*(data: ReportData, file: string) {
  // plots are slow to load: only who writes a page pays for them
  const { render } = yield* Effect.promise(() => import("./page.ts"))
  yield* writePage(file, render(data))
  const written: Array<Written> = [{ what: "report", path: file }]
  const metrics = metricsLines(data)
  if (metrics !== "") {
    const beside = `${file.replace(/\.html?$/i, "")}.metrics.jsonl`
    yield* writePage(beside, metrics)
    written.push({ what: "metrics", path: beside })
  }
  return written as ReadonlyArray<Written>
})
