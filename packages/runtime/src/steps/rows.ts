// Rows of a file or of the pipeline itself, as JSONL.
import { HubError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { readRows, type Row } from "../data/rows.ts"
import { encodeRows } from "../data/rowsFile.ts"
import { parametersOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

const Parameters = Schema.Union([
  Schema.Struct({ from: Schema.Literal("file"), row: Schema.Unknown }),
  Schema.Struct({ from: Schema.Literal("inline"), rows: Schema.Array(Schema.Unknown) }),
  Schema.Struct({ from: Schema.Literal("hub"), id: Schema.String })
])

export const rows: Implementation = {
  computes: false,
  run: Effect.fn("rows")(function*(job) {
    const parameters = parametersOf(job, Parameters)
    if (parameters.from === "hub") {
      return yield* new HubError({
        repo: parameters.id,
        problem: "reading data sets from the Hub is not available in this version; download it and use Dataset.file"
      })
    }
    const { row } = (job.step.attached ?? {}) as { readonly row?: Schema.Codec<unknown> }
    const read: ReadonlyArray<Row> = parameters.from === "inline"
      ? parameters.rows.map((row, index) => ({ id: String(index), row }))
      : yield* readRows(job.step.sources["file"]!, row)
    return { kind: "Rows", meta: { count: read.length }, files: { "rows.jsonl": encodeRows(read) } }
  })
}
