// Rows become preference pairs, one batch after the other; what was of no use is listed by row id in report.json.
import { formats } from "@penchant/dsl/Normalise"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as path from "node:path"
import { writeLines } from "../data/linesFile.ts"
import { normaliserOf } from "../data/normalisers.ts"
import { rowBatches, typed } from "../data/rows.ts"
import { exampleLine } from "../data/rowsFile.ts"
import { folderOf, json, parametersOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

const Parameters = Schema.Struct({
  format: Schema.Literals(formats),
  onBadRow: Schema.Literals(["drop", "fail"]),
  columns: Schema.Array(Schema.String)
})

export const pairs: Implementation = {
  computes: false,
  run: Effect.fn("pairs")(function*(job) {
    const { format, ...options } = parametersOf(job, Parameters)
    const rows = path.join(yield* folderOf(job, "rows"), "rows.jsonl")
    const from = job.step.inputs["rows"]!
    const { close, finish, take } = normaliserOf(format, { ...options, file: from.sources["file"] ?? from.title })
    const at = path.join(job.scratch, "pairs.jsonl")
    let read = 0
    const { count, report } = yield* typed(async (signal) => {
      const count = await writeLines(
        at,
        async function*() {
          for await (const batch of rowBatches([rows], undefined, signal)) {
            read += batch.length
            yield batch.map(take).filter((example) => example !== undefined)
          }
        }(),
        exampleLine
      )
      return { count, report: finish() }
    }).pipe(Effect.ensuring(Effect.sync(close)))
    return {
      kind: "Pairs",
      meta: { count, dropped: report.dropped },
      files: { "pairs.jsonl": { path: at }, "report.json": json({ rows: read, pairs: count, ...report }) }
    }
  })
}
