// Log-probability of every completion token under a model: the cached reference, and what every metric reads.
import { Precision } from "@penchant/dsl/Recipe"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Engine } from "../compute/Engine.ts"
import { encodeLogProbs } from "../data/tokensFile.ts"
import { scoreAll } from "../evaluation/score.ts"
import { loadModel } from "../model/load.ts"
import { fitsPositions } from "../model/positions.ts"
import { Progress } from "../platform/Progress.ts"
import { spacing } from "../training/train.ts"
import { folderOf, inputOf, parametersOf, tokensOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

const Parameters = Schema.Struct({ precision: Schema.optionalKey(Precision) })

export const score: Implementation = {
  computes: true,
  run: Effect.fn("score")(function*(job) {
    const engine = yield* Engine
    const progress = yield* Progress
    const data = yield* tokensOf(job, "data")
    const { precision } = parametersOf(job, Parameters)
    const model = yield* loadModel(yield* folderOf(job, "model"))
    yield* Effect.fromResult(fitsPositions(model.config, data, job.label))
    const session = yield* engine.open(model, precision === undefined ? {} : { precision })
    let shownAt = -Infinity
    const logProbs = yield* scoreAll(
      session,
      engine.numerics,
      data,
      (done) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          if (now - shownAt < spacing && done < data.ids.length) return Effect.void
          shownAt = now
          return progress.emit({ _tag: "StepProgress", label: job.label, done, total: data.ids.length, unit: "pair" })
        })
    )
    return {
      kind: "LogProbs",
      // Which weights and tokens these are of: training asks whether its reference is its start.
      meta: { tokens: logProbs.length, model: inputOf(job, "model").digest, data: inputOf(job, "data").digest },
      files: { "logprobs.safetensors": encodeLogProbs(logProbs) }
    }
  }, Effect.scoped)
}
