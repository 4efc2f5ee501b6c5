// The numbers of several metrics of one model, side by side.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { json, metaOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

export const Numbers = Schema.Record(Schema.String, Schema.Finite)

export const scores: Implementation = {
  computes: false,
  run: (job) =>
    Effect.sync(() => {
      const numbers = Object.values(job.inputs).map((input) => metaOf(input, Numbers))
      const meta: Readonly<Record<string, number>> = Object.assign({}, ...numbers)
      return { kind: "Scores", meta, files: { "scores.json": json({ numbers: meta }) } }
    })
}
