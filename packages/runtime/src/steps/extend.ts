// Trains a finished run longer, from its weights and its optimiser's state.
import * as Effect from "effect/Effect"
import { loadModel } from "../model/load.ts"
import { train } from "../training/train.ts"
import { folderOf, inputOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"
import { commonOf, identityOf } from "./train.ts"
import { readCursor, readOptimiser, writeTrained } from "./trained.ts"

export const extend: Implementation = {
  computes: true,
  run: Effect.fn("extend")(function*(job) {
    const before = inputOf(job, "trained")
    const folder = yield* folderOf(job, "trained")
    const model = yield* loadModel(folder)
    const cursor = yield* readCursor(before)
    const finished = yield* train({
      ...(yield* commonOf(job)),
      model,
      // The reference is of the weights that the first run started from.
      referenceIsStart: false,
      identity: identityOf(job, "trained"),
      from: { cursor, optimiser: yield* readOptimiser(before, model, cursor.updates) }
    })
    return yield* writeTrained(job, finished, folder)
  })
}
