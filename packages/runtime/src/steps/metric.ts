// One metric of one model on held-out pairs, compared with another model's log-probabilities when there are some.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { covers } from "../evaluation/bootstrap.ts"
import { judge, metrics } from "../evaluation/metrics.ts"
import { json, logProbsOf, parametersOf, tokensOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

const Parameters = Schema.Struct({
  name: Schema.Literals(["preferenceAccuracy", "chosenLogProb", "rejectedLogProb", "margin"])
})

export const metric: Implementation = {
  computes: false,
  run: Effect.fn("metric")(function*(job) {
    const { name } = parametersOf(job, Parameters)
    const data = yield* tokensOf(job, "data")
    const model = judge(data, yield* logProbsOf(job, "scores", data))
    const against = job.inputs["against"] === undefined
      ? undefined
      : judge(data, yield* logProbsOf(job, "against", data))
    const numbers = metrics[name](model, against)
    return {
      kind: "Scores",
      meta: numbers,
      files: { "scores.json": json({ pairs: data.ids.length, numbers, interval: covers }) }
    }
  })
}
