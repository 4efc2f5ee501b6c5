// Log-probability of every completion token under a model: the cached reference, and what every metric reads.
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { pack } from "../compute/Batch.ts"
import { Engine } from "../compute/Engine.ts"
import { completionTokens, encodeLogProbs } from "../data/tokensFile.ts"
import { loadModel } from "../model/load.ts"
import { Progress } from "../platform/Progress.ts"
import { microBatches } from "../training/microBatches.ts"
import { folderOf, inputOf, tokensOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

export const score: Implementation = {
  computes: true,
  run: Effect.fn("score")(function*(job) {
    const engine = yield* Engine
    const progress = yield* Progress
    const data = yield* tokensOf(job, "data")
    const session = yield* engine.open(yield* loadModel(yield* folderOf(job, "model")))
    const all = Int32Array.from(data.ids, (_, g) => g)
    const logProbs = new Float64Array(completionTokens(data))
    let [at, done, shownAt] = [0, 0, -Infinity]
    for (const groups of microBatches(data, all, data.sides, engine.numerics.groups)) {
      const part = yield* session.score(pack(data, groups))
      logProbs.set(part, at)
      at += part.length
      done += groups.length
      const now = yield* Clock.currentTimeMillis
      if (now - shownAt < 100 && done < all.length) continue
      shownAt = now
      yield* progress.emit({ _tag: "StepProgress", label: job.label, done, total: all.length, unit: "pair" })
    }
    return {
      kind: "LogProbs",
      // Which weights and tokens these are of: training asks whether its reference is its start.
      meta: { tokens: at, model: inputOf(job, "model").digest, data: inputOf(job, "data").digest },
      files: { "logprobs.safetensors": encodeLogProbs(logProbs) }
    }
  }, Effect.scoped)
}
