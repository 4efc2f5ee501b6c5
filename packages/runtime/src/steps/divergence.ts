// Estimated divergence of a model from its reference, on answers that the model sampled.
import * as Effect from "effect/Effect"
import { covers } from "../evaluation/bootstrap.ts"
import { divergenceOf } from "../evaluation/divergence.ts"
import { json, logProbsOf, tokensOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

export const divergence: Implementation = {
  computes: false,
  run: Effect.fn("divergence")(function*(job) {
    const data = yield* tokensOf(job, "data")
    const numbers = divergenceOf(data, yield* logProbsOf(job, "scores", data), yield* logProbsOf(job, "against", data))
    return {
      kind: "Scores",
      meta: numbers,
      files: { "scores.json": json({ prompts: data.ids.length, numbers, interval: covers }) }
    }
  })
}
