// Peers' numbers as they lie in a folder: logprobs.json, models/*/expected.json, training.json with its final tensors,
// objectives.json. Only what is compared is read; any number of pairs, models, runs, steps.
import { BadFile, type ModelError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fs from "node:fs/promises"
import type { TokenGroups } from "../../compute/Batch.ts"
import type { ModelState } from "../../compute/Engine.ts"
import { loadModel } from "../../model/load.ts"

/** One row of the result: `error` is the largest difference found, in the unit of `tolerance`. */
export interface Check {
  readonly name: string
  readonly error: number
  readonly tolerance: number
  readonly pass: boolean
}
/** What could not be compared, and why. Never counted as passed. */
export interface Skipped {
  readonly name: string
  readonly why: string
}
export interface Conformance {
  readonly checks: ReadonlyArray<Check>
  readonly skipped: ReadonlyArray<Skipped>
}

/** An error that is no number fails, and stays a number in JSON. */
export const check = (name: string, error: number, tolerance: number): Check => ({
  name,
  error: Number.isFinite(error) ? error : Number.MAX_VALUE,
  tolerance,
  pass: error <= tolerance
})

/** Largest |a - b| / scale(b); NaN when the lengths differ or a value is none. */
export const largest = (
  ours: ArrayLike<number>,
  theirs: ArrayLike<number>,
  scale: (theirs: number) => number = () => 1
): number => {
  let most = ours.length === theirs.length ? 0 : NaN
  for (let i = 0; i < theirs.length; i++) {
    // Math.max keeps NaN.
    most = Math.max(most, Math.abs(ours[i]! - theirs[i]!) / scale(theirs[i]!))
  }
  return most
}

const Ids = Schema.NonEmptyArray(Schema.Int)
const Values = Schema.Array(Schema.Finite)

export const LogProbs = Schema.Struct({
  model: Schema.String,
  pairs: Schema.Array(Schema.Struct({
    row: Schema.Int,
    prompt_ids: Ids,
    chosen_ids: Ids,
    rejected_ids: Ids,
    chosen: Schema.Struct({ logps_f64: Values }),
    rejected: Schema.Struct({ logps_f64: Values })
  }))
})

export const Expected = Schema.Struct({
  sequences: Schema.Array(Schema.Struct({ ids: Ids, logps: Values }))
})

const Pair = Schema.Struct({ row: Schema.Int, prompt_ids: Ids, chosen_ids: Ids, rejected_ids: Ids })
export type ReferencePair = typeof Pair.Type

export const Setup = Schema.Struct({
  optimizer: Schema.Struct({
    betas: Schema.Tuple([Schema.Finite, Schema.Finite]),
    eps: Schema.Finite,
    weight_decay: Schema.Finite
  }),
  /** Null or 0: no clipping. */
  max_grad_norm: Schema.optionalKey(Schema.NullOr(Schema.Finite)),
  peak_lr: Schema.Finite,
  warmup_ratio: Schema.optionalKey(Schema.Finite),
  warmup_steps: Schema.optionalKey(Schema.Int),
  steps: Schema.Int,
  batch_pairs: Schema.Int,
  lr_per_step: Values
})
export type Setup = typeof Setup.Type

const Run = Schema.Struct({
  objective: Schema.String,
  params: Schema.Record(Schema.String, Schema.Unknown),
  curve: Schema.Array(Schema.Struct({ loss: Schema.Finite, grad_norm: Schema.Finite, lr: Schema.Finite })),
  heldout: Schema.Array(Schema.Struct({ row: Schema.Int, chosen: Values, rejected: Values }))
})
export type Run = typeof Run.Type

export const TrainingRuns = Schema.Struct({
  model: Schema.String,
  setup: Setup,
  training_pairs: Schema.Array(Pair),
  heldout_pairs: Schema.Array(Pair),
  runs: Schema.Array(Run)
})
export type TrainingRuns = typeof TrainingRuns.Type

const Peer = Schema.Union([Schema.Finite, Schema.Literals(["inf", "-inf", "nan"])])
export type Peer = typeof Peer.Type
const ObjectiveCase = Schema.Struct({
  objective: Schema.String,
  params: Schema.Record(Schema.String, Schema.Unknown),
  aggregation: Schema.optionalKey(Schema.String),
  dtype: Schema.optionalKey(Schema.String),
  loss: Schema.Array(Peer),
  dL_w: Schema.Array(Peer),
  dL_l: Schema.Array(Peer)
})
export type ObjectiveCase = typeof ObjectiveCase.Type
const PairRow = Schema.Struct({
  L_w: Schema.Finite,
  L_l: Schema.Finite,
  R_w: Schema.Finite,
  R_l: Schema.Finite,
  len_w: Schema.Int,
  len_l: Schema.Int
})
export type PairRow = typeof PairRow.Type
const Named = Schema.Struct({ objective: Schema.String })
export const ObjectiveValues = Schema.Struct({
  rows: Schema.Array(PairRow),
  cases: Schema.Array(ObjectiveCase),
  batch_cases: Schema.optionalKey(Schema.Array(Named)),
  token_cases: Schema.optionalKey(Schema.Array(Named))
})
export type ObjectiveValues = typeof ObjectiveValues.Type

/** A JSON file under its schema; undefined when there is none. */
export const read = Effect.fnUntraced(
  function*<A>(file: string, schema: Schema.Codec<A, any>): Effect.fn.Return<A | undefined, BadFile> {
    const text = yield* Effect.tryPromise({
      try: () =>
        fs.readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
          if (error.code === "ENOENT") return undefined
          throw error
        }),
      catch: (error) => new BadFile({ file, problem: error instanceof Error ? error.message : String(error) })
    })
    if (text === undefined) return undefined
    return yield* Effect.mapError(
      Schema.decodeEffect(Schema.fromJsonString(schema))(text),
      ({ message }) => new BadFile({ file, problem: message })
    )
  }
)

/** Groups of given ids, one branch per side. */
export const groupsOf = (
  sides: ReadonlyArray<string>,
  groups: ReadonlyArray<
    {
      readonly id: string
      readonly prompt: ReadonlyArray<number>
      readonly branches: ReadonlyArray<ReadonlyArray<number>>
    }
  >
): TokenGroups => {
  const offsets = [0]
  for (const { branches, prompt } of groups) {
    offsets.push(branches.reduce((at, branch) => at + branch.length, offsets.at(-1)! + prompt.length))
  }
  return {
    tokens: Int32Array.from(groups.flatMap(({ branches, prompt }) => [...prompt, ...branches.flat()])),
    offsets: Int32Array.from(offsets),
    promptLength: Int32Array.from(groups, ({ prompt }) => prompt.length),
    branchLength: Int32Array.from(groups.flatMap(({ branches }) => branches.map((branch) => branch.length))),
    sides,
    ids: groups.map(({ id }) => id),
    columns: {}
  }
}

export const pairGroups = (pairs: ReadonlyArray<ReferencePair>): TokenGroups =>
  groupsOf(
    ["chosen", "rejected"],
    pairs.map(({ chosen_ids, prompt_ids, rejected_ids, row }) => ({
      id: String(row),
      prompt: prompt_ids,
      branches: [chosen_ids, rejected_ids]
    }))
  )

/** A model folder, or why its numbers are not compared: what its config asks for, or the config itself, is not there. */
export const knownModel = (folder: string): Effect.Effect<ModelState | string, ModelError> =>
  loadModel(folder).pipe(
    Effect.catchTag("BadModel", (error): Effect.Effect<string, ModelError> =>
      // Anything else is a folder that should have loaded.
      error.file.endsWith("config.json") ? Effect.succeed(error.message) : Effect.fail(error))
  )

/** Why numbers of another model's weights are not compared; undefined when they are of these. */
export const otherModel = (described: string, sha256: string | undefined): string | undefined => {
  const [, expected] = /sha256 ([0-9a-f]{64})/.exec(described) ?? []
  return expected === undefined || sha256 === undefined || expected === sha256
    ? undefined
    : `made with other weights (model.safetensors ${expected.slice(0, 12)}..., here ${sha256.slice(0, 12)}...)`
}
