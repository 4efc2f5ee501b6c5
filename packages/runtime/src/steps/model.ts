// A pretrained model as it lies in its folder. It is loaded once, so that a folder that does not fit is refused here.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { fetchLocked } from "../hub/fetchLocked.ts"
import { isModelFile } from "../model/files.ts"
import { loadModel } from "../model/load.ts"
import { emptyFolder, filesIn, inScratch, parametersOf } from "./files.ts"
import type { Implementation, Job } from "./Implementation.ts"
import { linkFiles } from "./links.ts"

const Parameters = Schema.Union([
  Schema.Struct({ from: Schema.Literal("dir") }),
  Schema.Struct({ from: Schema.Literal("hub") })
])

/** Under the names they have on the Hub, and no others: the cache may hold more of the same commit. */
const fetchedFolder = Effect.fnUntraced(function*(job: Job) {
  const folder = yield* emptyFolder(job, "hub")
  const files = yield* fetchLocked(job.label, job.step.sources["hub"]!)
  yield* inScratch(folder, async () => linkFiles(folder, Object.fromEntries(files.map(({ at, path }) => [path, at]))))
  return folder
})

export const model: Implementation = {
  computes: false,
  run: Effect.fn("model")(function*(job) {
    const parameters = parametersOf(job, Parameters)
    const from = parameters.from === "hub" ? yield* fetchedFolder(job) : job.step.sources["dir"]!
    const { parameters: weights } = yield* loadModel(from)
    const folder = yield* emptyFolder(job, "model")
    yield* inScratch(folder, async () => {
      const names = (await fs.readdir(from)).filter(isModelFile)
      for (const name of names) await fs.copyFile(path.join(from, name), path.join(folder, name))
    })
    return { kind: "Weights", meta: { parameters: weights.length }, files: yield* filesIn(folder) }
  })
}
