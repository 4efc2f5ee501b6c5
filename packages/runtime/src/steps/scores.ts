// The numbers of several metrics of one model, side by side; benchmarks also under lm-eval's names.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { joined } from "../evaluation/tasks/results.ts"
import { json, metaOf, resultsIn } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

export const Numbers = Schema.Record(Schema.String, Schema.Finite)

export const scores: Implementation = {
  computes: false,
  run: Effect.fn("scores")(function*(job) {
    const inputs = Object.values(job.inputs)
    const meta: Readonly<Record<string, number>> = Object.assign({}, ...inputs.map((input) => metaOf(input, Numbers)))
    const results = (yield* Effect.forEach(inputs, resultsIn)).filter((each) => each !== undefined)
    return {
      kind: "Scores",
      meta,
      files: {
        "scores.json": json({ numbers: meta }),
        ...(results.length === 0 ? {} : { "results.json": json(joined(results)) })
      }
    }
  })
}
