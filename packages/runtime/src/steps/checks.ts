// What is wrong with a step, as far as files that are on this machine say so before anything runs: offline, and cheap, since of
// weights the headers alone are read. What a run finds out later is left to the steps themselves.
import { BadModel } from "@penchant/dsl/Errors"
import { Recipe } from "@penchant/dsl/Recipe"
import type { AnyStep } from "@penchant/dsl/Step"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as path from "node:path"
import { cachedFolder } from "../hub/cached.ts"
import { checkModel, readArchitecture } from "../model/load.ts"
import { positionsFor } from "../model/positions.ts"
import { layoutFor } from "../model/trainable.ts"
import { Progress } from "../platform/Progress.ts"
import type { Around, Check } from "./Implementation.ts"

/** Where the weights of a step of kind `model` lie; undefined where no file of them is on this machine. */
const folderOf = Effect.fnUntraced(function*({ sources: { dir, hub } }: AnyStep, { directory, once }: Around) {
  if (dir !== undefined) return { folder: path.resolve(directory, dir), whole: true }
  const cached = hub === undefined ? undefined : yield* once(`folder ${hub}`, cachedFolder(hub))
  return cached?.there.has("config.json") === true ? cached : undefined
})

/** The step whose config the step's model has: trainings keep it. */
const originOf = (step: AnyStep): AnyStep | undefined => {
  for (let at = step.inputs["model"] ?? step.inputs["trained"]; at !== undefined;) {
    if (at.kind === "model") return at
    at = at.inputs["model"] ?? at.inputs["trained"]
  }
  return undefined
}

/** What the config describes; undefined where there is none yet, or one that the model's own step refuses. */
const describedOf = Effect.fnUntraced(function*(step: AnyStep, around: Around) {
  const origin = originOf(step)
  const at = origin === undefined ? undefined : yield* folderOf(origin, around)
  if (at === undefined) return undefined
  const { folder } = at
  const read = Effect.map(readArchitecture(folder), (described) => ({ folder, ...described }))
  return yield* around.once(`config ${folder}`, Effect.orElseSucceed(read, () => undefined))
})

/** A folder that does not fit its config. */
export const model: Check = Effect.fnUntraced(function*(step, around) {
  const at = yield* folderOf(step, around)
  if (at === undefined) return
  // A config alone is all that a lock fetches.
  yield* around.once(
    `model ${at.folder}`,
    at.whole ? checkModel(at.folder) : Effect.asVoid(readArchitecture(at.folder))
  )
})

const Limits = Schema.Struct({ maxLength: Schema.Int })

/** Rows that may be longer than the model's positions. */
export const tokenise: Check = Effect.fnUntraced(function*(step, around) {
  const described = yield* describedOf(step, around)
  const limits = Schema.decodeUnknownOption(Limits)(step.parameters)
  if (described === undefined || limits._tag === "None") return
  const { maxLength } = limits.value
  const { label } = around
  const problem = positionsFor(described, maxLength)
  if (problem === undefined) return
  if (described.positions === "learned") return yield* new BadModel({ file: step.title, part: "maxLength", problem })
  yield* (yield* Progress).emit({ _tag: "Warning", label, message: `maxLength ${problem}` })
})

const Trains = Schema.Struct({ recipe: Recipe })

/** Adapters of layers that are not there; patterns of tensors that are not there, or that leave none to train. */
export const train: Check = Effect.fnUntraced(function*(step, around) {
  const trains = Schema.decodeUnknownOption(Trains)(step.parameters)
  if (trains._tag === "None") return
  const { recipe } = trains.value
  if (recipe.lora === undefined && recipe.freeze === undefined) return
  const described = yield* describedOf(step, around)
  if (described === undefined) return
  const { config, folder, tensors } = described
  const [names, shapes] = [tensors.map(({ name }) => name), tensors.map(({ shape }) => shape)]
  const layout = yield* around.once(
    `layout ${JSON.stringify([folder, recipe.lora, recipe.freeze])}`,
    Effect.sync(() => layoutFor({ config, names, shapes }, recipe))
  )
  if (Result.isSuccess(layout)) return
  const { field, problem } = layout.failure
  return yield* new BadModel({ file: step.title, part: field, problem })
})

const Samples = Schema.Struct({ maxTokens: Schema.Int })

/** Answers that leave a prompt no position, or not as many as it may take. */
export const generate: Check = Effect.fnUntraced(function*(step, around) {
  const described = yield* describedOf(step, around)
  const samples = Schema.decodeUnknownOption(Samples)(step.parameters)
  if (described === undefined || samples._tag === "None") return
  const room = described.maxPositions - samples.value.maxTokens
  const { label } = around
  if (room < 1) {
    const problem =
      `of ${samples.value.maxTokens} leaves no room for a prompt in the model's ${described.maxPositions} positions`
    return yield* new BadModel({ file: step.title, part: "maxTokens", problem })
  }
  const limits = Schema.decodeUnknownOption(Limits)(step.inputs["data"]?.parameters)
  if (limits._tag === "None" || limits.value.maxLength - 1 <= room) return
  const message =
    `prompts of more than ${room} tokens are refused: the model has ${described.maxPositions} positions, of which `
    + `${samples.value.maxTokens} are for answers`
  yield* (yield* Progress).emit({ _tag: "Warning", label, message })
})
