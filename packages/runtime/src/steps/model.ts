// A pretrained model as it lies in its folder. It is loaded once, so that a folder that does not fit is refused here.
import { HubError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { loadModel } from "../model/load.ts"
import { tokenizerFiles } from "../model/save.ts"
import { emptyFolder, filesIn, inScratch, parametersOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

const Parameters = Schema.Union([
  Schema.Struct({ from: Schema.Literal("dir") }),
  Schema.Struct({ from: Schema.Literal("hub"), id: Schema.String })
])

/** Weights, one file or shards with their index. */
const isWeights = (name: string): boolean => /^model(-\d+-of-\d+)?\.safetensors(\.index\.json)?$/.test(name)

export const model: Implementation = {
  computes: false,
  run: Effect.fn("model")(function*(job) {
    const parameters = parametersOf(job, Parameters)
    if (parameters.from === "hub") {
      return yield* new HubError({
        repo: parameters.id,
        reason: "notLocked",
        problem: "fetching models from the Hub is not available in this version; download the folder and use Model.dir"
      })
    }
    const from = job.step.sources["dir"]!
    const { parameters: weights } = yield* loadModel(from)
    const folder = yield* emptyFolder(job, "model")
    yield* inScratch(folder, async () => {
      const names = (await fs.readdir(from)).filter((name) =>
        name === "config.json" || isWeights(name) || tokenizerFiles.includes(name)
      )
      for (const name of names) await fs.copyFile(path.join(from, name), path.join(folder, name))
    })
    return { kind: "Weights", meta: { parameters: weights.length }, files: yield* filesIn(folder) }
  })
}
