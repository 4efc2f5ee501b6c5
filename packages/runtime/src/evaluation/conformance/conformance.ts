// Recomputes a folder of peers' numbers on an engine: what `penchant conformance` runs. The folder carries no weights of
// the small real model, so its path is given apart.
import { BadFile } from "@penchant/dsl/Errors"
import type { BadModel, BadRow, BadTokens } from "@penchant/dsl/Errors"
import { sha256 } from "@penchant/dsl/Identity"
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { Engine } from "../../compute/Engine.ts"
import { decodeSafetensors } from "../../data/safetensors.ts"
import { loadModel } from "../../model/load.ts"
import type { Progress } from "../../platform/Progress.ts"
import type { TrainingError } from "../../training/train.ts"
import { generationChecks } from "./generation.ts"
import { lmEvalChecks } from "./lmEval.ts"
import { objectiveChecks } from "./objectives.ts"
import { type Conformance, ObjectiveValues, otherModel, read, TrainingRuns } from "./references.ts"
import { modelChecks, pairChecks } from "./tokens.ts"
import { trainingChecks } from "./training.ts"

export type { Check, Conformance, Skipped } from "./references.ts"

export interface Options {
  /** A folder of the layout of `references/`. Files that it lacks are listed as skipped. */
  readonly folder: string
  /** The folder of the small real model that logprobs.json and training.json are of. */
  readonly model: string
}

/** Undefined when there is no such file or folder. */
const unlessMissing = <A>(file: string, run: () => Promise<A>): Effect.Effect<A | undefined, BadFile> =>
  Effect.tryPromise({
    try: () =>
      run().catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return undefined
        throw error
      }),
    catch: (error) => new BadFile({ file, problem: error instanceof Error ? error.message : String(error) })
  })

const missing = (name: string, file: string): Conformance => ({
  checks: [],
  skipped: [{ name, why: `there is no ${file}` }]
})

/** All comparisons that the folder allows, in a fixed order. */
export const conformance: (
  options: Options
) => Effect.Effect<Conformance, TrainingError | BadFile | BadModel | BadRow | BadTokens, Engine | Progress> = Effect.fn(
  "conformance"
)(
  function*({ folder, model: modelFolder }) {
    const model = yield* loadModel(modelFolder)
    const weights = path.join(modelFolder, "model.safetensors")
    const digest = sha256((yield* unlessMissing(weights, () => fs.readFile(weights))) ?? "")
    const parts: Array<Conformance> = [yield* pairChecks(path.join(folder, "logprobs.json"), model, digest)]

    const models = path.join(folder, "models")
    const names = yield* unlessMissing(models, () => fs.readdir(models))
    if (names === undefined) parts.push(missing("models", models))
    for (const name of (names ?? []).toSorted()) parts.push(yield* modelChecks(name, path.join(models, name)))

    const training = path.join(folder, "training.json")
    const runs = yield* read(training, TrainingRuns)
    const other = runs === undefined ? undefined : otherModel(runs.model, digest)
    if (runs === undefined) parts.push(missing("training", training))
    else if (other !== undefined) parts.push({ checks: [], skipped: [{ name: "training", why: other }] })
    else {
      const file = path.join(folder, "training-final-tensors.safetensors")
      const bytes = yield* unlessMissing(file, () => fs.readFile(file))
      const tensors = bytes === undefined
        ? undefined
        : (yield* Effect.fromResult(decodeSafetensors(bytes, file))).tensors
      parts.push(yield* trainingChecks(runs, model, tensors))
    }

    parts.push(yield* generationChecks(folder, model, modelFolder))

    const asked = (yield* Effect.forEach(
      [folder, path.join(folder, "lm-eval")],
      (at) =>
        Effect.map(
          unlessMissing(at, () => fs.readdir(at)),
          (names = []) => names.filter((name) => name.endsWith(".jsonl")).toSorted().map((name) => path.join(at, name))
        )
    )).flat()
    if (asked.length === 0) parts.push(missing("lm-eval", path.join(folder, "*.jsonl")))
    for (const file of asked) parts.push(yield* lmEvalChecks(file, model, modelFolder))

    const objectives = path.join(folder, "objectives.json")
    const values = yield* read(objectives, ObjectiveValues)
    parts.push(values === undefined ? missing("objectives", objectives) : objectiveChecks(values))
    return { checks: parts.flatMap(({ checks }) => checks), skipped: parts.flatMap(({ skipped }) => skipped) }
  }
)
