// One metric of one model on held-out pairs, compared with another model's log-probabilities when there are some.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { readPairs } from "../data/rowsFile.ts"
import { covers } from "../evaluation/bootstrap.ts"
import { judge, metrics } from "../evaluation/metrics.ts"
import { slicesOf } from "../evaluation/slices.ts"
import { examplesFile } from "./examples.ts"
import { json, logProbsOf, parametersOf, tokensOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

const Parameters = Schema.Struct({
  name: Schema.Literals([
    "preferenceAccuracy",
    "chosenLogProb",
    "rejectedLogProb",
    "margin",
    "calibration",
    "lengthBias",
    "accuracyBy"
  ]),
  beta: Schema.optionalKey(Schema.Finite),
  by: Schema.optionalKey(
    Schema.Union([Schema.Literals(["length", "turns", "source"]), Schema.Struct({ column: Schema.String })])
  )
})

export const metric: Implementation = {
  computes: false,
  run: Effect.fn("metric")(function*(job) {
    const { beta, by, name } = parametersOf(job, Parameters)
    const data = yield* tokensOf(job, "data")
    const model = judge(data, yield* logProbsOf(job, "scores", data))
    const against = job.inputs["against"] === undefined
      ? undefined
      : judge(data, yield* logProbsOf(job, "against", data))
    const examples = job.inputs["pairs"] === undefined ? [] : yield* readPairs(yield* examplesFile(job, "pairs"))
    const slices = by === undefined
      ? undefined
      : yield* Effect.fromResult(slicesOf(by, data, examples, job.step.inputs["data"]!.title))
    const numbers = metrics[name](model, against, {
      ...(beta === undefined ? {} : { beta }),
      ...(slices === undefined ? {} : { slices })
    })
    return {
      kind: "Scores",
      meta: numbers,
      files: { "scores.json": json({ pairs: data.ids.length, numbers, interval: covers }) }
    }
  })
}
