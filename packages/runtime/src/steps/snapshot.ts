// Weights that a run kept along the way, as a model of their own.
import { BadFile } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { tokenizerFiles } from "../model/save.ts"
import { emptyFolder, fileOf, filesIn, inputOf, inScratch, metaOf, parametersOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"
import { snapshotName } from "./trained.ts"

const Parameters = Schema.Struct({ index: Schema.Int })
const TrainedMeta = Schema.Struct({ parameters: Schema.Int, snapshots: Schema.Array(Schema.Int) })

export const snapshot: Implementation = {
  computes: false,
  run: Effect.fn("snapshot")(function*(job) {
    const { index } = parametersOf(job, Parameters)
    const trained = inputOf(job, "trained")
    const { parameters, snapshots } = metaOf(trained, TrainedMeta)
    const step = snapshots[index]
    if (step === undefined) {
      return yield* new BadFile({
        file: job.label,
        problem: `there is no snapshot ${index}: the run kept ${snapshots.length}`,
        remedy: "set snapshots in its recipe"
      })
    }
    const folder = yield* emptyFolder(job, "snapshot")
    yield* inScratch(folder, async () => {
      const copy = (from: string, to: string) => fs.copyFile(fileOf(trained, from), path.join(folder, to))
      await copy(snapshotName(index), "model.safetensors")
      for (const name of Object.keys(trained.files)) {
        if (name === "config.json" || tokenizerFiles.includes(name)) await copy(name, name)
      }
    })
    return { kind: "Weights", meta: { parameters, step }, files: yield* filesIn(folder) }
  })
}
