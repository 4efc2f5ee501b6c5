// What a training will take, for `penchant plan`: from the model's config and, once they are made, its tokens. Offline.
import { isObjective } from "@penchant/dsl/Objective"
import { Recipe } from "@penchant/dsl/Recipe"
import type { AnyStep } from "@penchant/dsl/Step"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as path from "node:path"
import type { TokenGroups } from "../compute/Batch.ts"
import type { Numerics } from "../compute/Engine.ts"
import { type Footprint, footprintOf, type Planned } from "../compute/footprint.ts"
import { scaledTo } from "../compute/load.ts"
import { CurrentHome } from "../experiment/Home.ts"
import type { Plan } from "../experiment/Plan.ts"
import { cachedFolder } from "../hub/cached.ts"
import { architecture } from "../model/families.ts"
import { layoutFor } from "../model/trainable.ts"
import { bytes } from "../platform/bytes.ts"
import { fileOf, groupsOf } from "../steps/files.ts"
import type { Input } from "../steps/Implementation.ts"
import { graphsOf, heaviest } from "../training/fit.ts"
import { lossOf } from "../training/loss.ts"
import { rowBudget } from "../training/microBatches.ts"

export interface Memory extends Footprint {
  /** Rows of a micro-batch that this is for; on a device of its own memory the cut follows what is free. */
  readonly rows: number
  /** `maxLength`: the tokens are still to be made, so every row is taken to be as long as it may. */
  readonly from: "tokens" | "maxLength"
}

const Lengths = Schema.Struct({ maxLength: Schema.Int })
const Trains = Schema.Struct({ recipe: Recipe })
const Json = Schema.fromJsonString(Schema.Unknown)

/** One pair of the longest rows that tokenising lets through, half of them prompt. */
const longest = (maxLength: number): TokenGroups => {
  const prompt = Math.ceil(maxLength / 2)
  const answer = Math.max(1, maxLength - prompt)
  return {
    tokens: new Int32Array(prompt + 2 * answer),
    offsets: Int32Array.of(0, prompt + 2 * answer),
    promptLength: Int32Array.of(prompt),
    branchLength: Int32Array.of(answer, answer),
    sides: ["chosen", "rejected"],
    ids: ["the longest"],
    columns: {}
  }
}

/** What is wrong with a config or a recipe is said by the step that trains. */
const graphsIn = (configFile: string, recipe: Recipe): Planned | undefined => {
  if (!fs.existsSync(configFile)) return undefined
  const config = Schema.decodeOption(Json)(fs.readFileSync(configFile, "utf8"))
  if (config._tag === "None") return undefined
  const layout = Result.flatMap(architecture(config.value), ({ tensors }) => {
    const [names, shapes] = [tensors.map(({ name }) => name), tensors.map(({ shape }) => shape)]
    return layoutFor({ config: config.value, names, shapes }, recipe)
  })
  return Result.isFailure(layout) ? undefined : graphsOf(layout.success)
}

/**
 * By plan key, of every training among the steps that is still to run; none where the model's config is not on this machine
 * yet. Trainings share models and tokens: graphs are made once per config and what is trained, tokens read once.
 */
export const memoriesOf = Effect.fnUntraced(function*(steps: Iterable<AnyStep>, plan: Plan, numerics: Numerics) {
  const { store } = yield* CurrentHome
  const knownGraphs = new Map<string, Planned | undefined>()
  const knownTokens = new Map<string, TokenGroups>()
  const madeBy = Effect.fnUntraced(function*(of: AnyStep) {
    const { verdict } = plan.of(of)
    return verdict._tag === "Hit" ? yield* store.open(verdict.digest) : undefined
  })
  const configFile = Effect.fnUntraced(function*(of: AnyStep) {
    for (let at: AnyStep | undefined = of; at !== undefined; at = at.inputs["model"] ?? at.inputs["trained"]) {
      const found = (yield* madeBy(at))?.files["config.json"]
      if (found !== undefined) return found
      if (at.kind === "model" && at.sources["dir"] !== undefined) return path.join(at.sources["dir"], "config.json")
      if (at.kind === "model" && at.sources["hub"] !== undefined) {
        const cached = yield* cachedFolder(at.sources["hub"])
        return cached?.there.has("config.json") === true ? path.join(cached.folder, "config.json") : undefined
      }
    }
    return undefined
  })
  const tokensOf = Effect.fnUntraced(function*(input: Input) {
    const at = fileOf(input, "tokens.safetensors")
    const groups = knownTokens.get(at) ?? (yield* groupsOf(input))
    knownTokens.set(at, groups)
    return groups
  })
  const memoryOf = Effect.fnUntraced(function*(step: AnyStep) {
    const file = yield* configFile(step)
    if (file === undefined) return undefined
    const trains = Schema.decodeUnknownOption(Trains)(step.parameters)
    if (trains._tag === "None") return undefined
    const { recipe } = trains.value
    const shared = JSON.stringify([file, recipe.lora, recipe.freeze])
    if (!knownGraphs.has(shared)) knownGraphs.set(shared, graphsIn(file, recipe))
    const graphs = knownGraphs.get(shared)
    const { objective } = (step.attached ?? {}) as { readonly objective?: unknown }
    const tokenised = step.inputs["data"]
    if (graphs === undefined || tokenised === undefined || !isObjective(objective)) return undefined
    const tokens = yield* madeBy(tokenised)
    const limits = Schema.decodeUnknownOption(Lengths)(tokenised.parameters)
    if (tokens === undefined && limits._tag === "None") return undefined
    const data = tokens === undefined
      ? longest(limits._tag === "Some" ? limits.value.maxLength : 1)
      : yield* tokensOf(tokens)
    if (data.ids.length === 0) return undefined
    const group = heaviest(data, lossOf(objective, data).sides)
    const rows = Math.ceil(Math.max(group.sizes.T, Math.min(rowBudget, recipe.batchSize * group.sizes.T)))
    const footprint = footprintOf(
      graphs,
      { ...numerics, ...recipe },
      scaledTo(group, rows),
      false
    )
    return footprint === undefined
      ? undefined
      : { ...footprint, rows, from: tokens === undefined ? "maxLength" : "tokens" } satisfies Memory as Memory
  })
  const memories = new Map<string, Memory>()
  for (const step of steps) {
    const { planKey, verdict } = plan.of(step)
    const trains = step.kind === "train" || step.kind === "extend"
    if (!trains || verdict._tag === "Hit" || verdict._tag === "Blocked") continue
    const memory = yield* memoryOf(step)
    if (memory !== undefined) memories.set(planKey, memory)
  }
  return memories
})

/** `1.4 GB: weights 108 MB, ...`, once for all trainings that take the same. */
export const memoryLines = (memories: ReadonlyArray<Memory>): ReadonlyArray<string> => {
  const texts = memories.map(({ activations, from, gradients, optimiser, rows, total, weights, workspace }) => {
    const parts = Object.entries({ weights, gradients, optimiser, activations, workspace })
      .map(([name, count]) => `${name} ${bytes(count)}`)
    const cut = `at ${rows} tokens a micro-batch${from === "maxLength" ? ", all rows as long as they may be" : ""}`
    return `about ${bytes(total)} of memory (${parts.join(", ")}; ${cut})`
  })
  return [...Map.groupBy(texts, (text) => text)].map(([text, all]) =>
    `${all.length === 1 ? "1 training takes" : `${all.length} trainings take`} ${text}`
  )
}
