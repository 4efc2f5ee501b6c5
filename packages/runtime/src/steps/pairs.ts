// Rows become preference pairs; what was of no use is listed by row id in report.json.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as path from "node:path"
import { normaliseHh } from "../data/normaliseHh.ts"
import { normalisePlain } from "../data/normalisePlain.ts"
import { readRows } from "../data/rows.ts"
import { encodePairs } from "../data/rowsFile.ts"
import { folderOf, json, parametersOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

const Parameters = Schema.Struct({
  format: Schema.Literals(["hh", "plain"]),
  onBadRow: Schema.Literals(["drop", "fail"]),
  columns: Schema.optionalKey(Schema.Array(Schema.String))
})

export const pairs: Implementation = {
  computes: false,
  run: Effect.fn("pairs")(function*(job) {
    const { columns = [], format, onBadRow } = parametersOf(job, Parameters)
    const rows = yield* readRows(path.join(yield* folderOf(job, "rows"), "rows.jsonl"))
    const from = job.step.inputs["rows"]!
    const options = { file: from.sources["file"] ?? from.title, onBadRow }
    const { dropped, noted, pairs } = yield* Effect.fromResult(
      format === "hh" ? normaliseHh(rows, options) : normalisePlain(rows, { ...options, columns })
    )
    return {
      kind: "Pairs",
      meta: { count: pairs.length, dropped },
      files: {
        "pairs.jsonl": encodePairs(pairs),
        "report.json": json({ rows: rows.length, pairs: pairs.length, dropped, noted })
      }
    }
  })
}
