// Trains a start on data: reads the inputs, runs the one loop, leaves the artifact.
import { BadModel } from "@penchant/dsl/Errors"
import { digest } from "@penchant/dsl/Identity"
import { isObjective, type Objective } from "@penchant/dsl/Objective"
import { Recipe } from "@penchant/dsl/Recipe"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { TokenGroups } from "../compute/Batch.ts"
import { loadedArchitecture } from "../model/families.ts"
import type { ConfigProblem } from "../model/Family.ts"
import { loadModel } from "../model/load.ts"
import { fitsPositions } from "../model/positions.ts"
import { trainable } from "../model/trainable.ts"
import { Progress } from "../platform/Progress.ts"
import { train as run } from "../training/train.ts"
import { folderOf, inputOf, logProbsOf, parametersOf, tokensOf } from "./files.ts"
import type { Implementation, Job } from "./Implementation.ts"
import { writeTrained } from "./trained.ts"

const Parameters = Schema.Struct({ objective: Schema.Unknown, recipe: Recipe })

/** The functions of a custom objective cannot be read from parameters, so the value comes along. */
export const objectiveOf = (job: Job): Objective => {
  const { objective } = (job.step.attached ?? {}) as { readonly objective?: unknown }
  if (!isObjective(objective)) throw new Error(`${job.label}: no objective is attached to the step`)
  return objective
}

const ScoreMeta = Schema.Struct({ model: Schema.String })

/** What a checkpoint of this job belongs to: resuming under another is refused, naming what differs. */
export const identityOf = (job: Job, start: string): Readonly<Record<string, string>> => {
  const { objective, recipe } = parametersOf(job, Parameters)
  const { reference } = job.inputs
  return {
    objective: digest(objective),
    recipe: digest(recipe),
    start: inputOf(job, start).digest,
    data: inputOf(job, "data").digest,
    ...(reference === undefined ? {} : { reference: reference.digest }),
    // Code and numerics; what the executor calls parameters and inputs is above, by the names people know.
    ...Object.fromEntries(
      Object.entries(job.identity).filter(([name]) => name !== "parameters" && !name.startsWith("input "))
    )
  }
}

/** Data, reference and recipe: what `train` and `extend` share. */
export const commonOf = Effect.fnUntraced(function*(job: Job) {
  const data = yield* tokensOf(job, "data")
  return {
    label: job.label,
    data,
    reference: job.inputs["reference"] === undefined ? undefined : yield* logProbsOf(job, "reference", data),
    objective: objectiveOf(job),
    recipe: parametersOf(job, Parameters).recipe,
    policy: job.policy,
    scratch: job.scratch
  }
})

/** The weights in `folder` as the recipe trains them on the data; messages name the step. */
export const startIn = Effect.fnUntraced(function*(
  folder: string,
  { data, label, recipe }: { readonly data: TokenGroups; readonly label: string; readonly recipe: Recipe }
) {
  const model = yield* loadModel(folder)
  yield* Effect.fromResult(fitsPositions(model.config, data, label))
  const bad = ({ field, problem }: ConfigProblem) => new BadModel({ file: label, part: field, problem })
  return yield* Effect.fromResult(Result.mapError(trainable(model, recipe), bad))
})

export const train: Implementation = {
  computes: true,
  run: Effect.fn("train step")(function*(job) {
    const folder = yield* folderOf(job, "model")
    const { reference } = job.inputs
    const common = yield* commonOf(job)
    const model = yield* startIn(folder, common)
    const { ignored } = loadedArchitecture(model.config)
    if (ignored.length > 0) {
      const message = `trains without what its model's config asks for: ${ignored.join(", ")}`
      yield* (yield* Progress).emit({ _tag: "Warning", label: job.label, message })
    }
    const finished = yield* run({
      ...common,
      model,
      referenceIsStart: reference !== undefined
        && Schema.is(ScoreMeta)(reference.meta) && reference.meta.model === inputOf(job, "model").digest,
      identity: identityOf(job, "model")
    })
    return yield* writeTrained(job, finished, folder)
  })
}
