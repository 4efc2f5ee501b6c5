// Rows of files or of the pipeline itself, as JSONL. Files pass through a bounded buffer.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as path from "node:path"
import { writeLines } from "../data/linesFile.ts"
import { rowBatches, typed } from "../data/rows.ts"
import { encodeRows } from "../data/rowsFile.ts"
import { splitOf } from "../data/splitFiles.ts"
import { fetchLocked } from "../hub/fetchLocked.ts"
import { parametersOf } from "./files.ts"
import type { Implementation, Job, Output } from "./Implementation.ts"

const Parameters = Schema.Union([
  Schema.Struct({ from: Schema.Literal("file"), row: Schema.Unknown }),
  Schema.Struct({
    from: Schema.Literal("folder"),
    row: Schema.Unknown,
    split: Schema.String,
    dir: Schema.optionalKey(Schema.String)
  }),
  Schema.Struct({ from: Schema.Literal("inline"), rows: Schema.Array(Schema.Unknown) }),
  Schema.Struct({ from: Schema.Literal("hub") })
])

/** The rows of `files`, checked against the schema that is attached to the step, as an artifact. */
export const rowsOfFiles = (job: Job, files: () => Promise<ReadonlyArray<string>>) => {
  const { row } = (job.step.attached ?? {}) as { readonly row?: Schema.Codec<unknown> }
  const at = path.join(job.scratch, "rows.jsonl")
  return Effect.map(
    typed(async (signal) => writeLines(at, rowBatches(await files(), row, signal), ({ row }) => JSON.stringify(row))),
    (count): Output => ({ kind: "Rows", meta: { count }, files: { "rows.jsonl": { path: at } } })
  )
}

export const rows: Implementation = {
  computes: false,
  run: Effect.fn("rows")(function*(job) {
    const parameters = parametersOf(job, Parameters)
    switch (parameters.from) {
      case "hub": {
        const fetched = yield* fetchLocked(job.label, job.step.sources["hub"]!)
        // By name: the order of lines in the lock is no part of the step's identity.
        const files = fetched.toSorted((a, b) => (a.path < b.path ? -1 : 1)).map(({ at }) => at)
        return yield* rowsOfFiles(job, () => Promise.resolve(files))
      }
      case "file":
        return yield* rowsOfFiles(job, () => Promise.resolve([job.step.sources["file"]!]))
      case "folder":
        return yield* rowsOfFiles(job, () => splitOf(job.step.sources["folder"]!, parameters))
      case "inline": {
        const read = parameters.rows.map((row, index) => ({ id: String(index), row }))
        return { kind: "Rows", meta: { count: read.length }, files: { "rows.jsonl": encodeRows(read) } }
      }
    }
  })
}
