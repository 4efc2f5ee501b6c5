// Trains a finished run longer, from its weights and its optimiser's state.
import * as Effect from "effect/Effect"
import * as path from "node:path"
import { adapterFiles } from "../model/files.ts"
import { withAdapters } from "../model/peft.ts"
import { train } from "../training/train.ts"
import { folderOf, inputOf, readInput } from "./files.ts"
import type { Implementation } from "./Implementation.ts"
import { commonOf, identityOf, startIn } from "./train.ts"
import { adapterFolder, baseFolder, readCursor, readOptimiser, writeTrained } from "./trained.ts"

export const extend: Implementation = {
  computes: true,
  run: Effect.fn("extend")(function*(job) {
    const before = inputOf(job, "trained")
    const folder = yield* folderOf(job, "trained")
    const common = yield* commonOf(job)
    // Adapters go on beside the weights that they began beside.
    const adapters = before.files[`${adapterFolder}/${adapterFiles.weights}`]
    const base = adapters === undefined ? folder : path.join(folder, baseFolder)
    const start = yield* startIn(base, common)
    const model = adapters === undefined || start.adapter === undefined
      ? start
      : yield* Effect.fromResult(
        withAdapters(start, yield* readInput(before, `${adapterFolder}/${adapterFiles.weights}`), adapters)
      )
    const cursor = yield* readCursor(before)
    const finished = yield* train({
      ...common,
      model,
      // The reference is of the weights that the first run started from.
      referenceIsStart: false,
      identity: identityOf(job, "trained"),
      from: { cursor, optimiser: yield* readOptimiser(before, model, cursor.updates) }
    })
    return yield* writeTrained(job, finished, folder, base)
  })
}
