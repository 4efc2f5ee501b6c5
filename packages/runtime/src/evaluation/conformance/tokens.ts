// Token log-probabilities: of the small real model on real pairs, and of every model in the folder whose family runs.
import type { ComputeError, ModelError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import type { TokenGroups } from "../../compute/Batch.ts"
import { Engine, type ModelState, type Numerics } from "../../compute/Engine.ts"
import { scoreAll } from "../score.ts"
import {
  check,
  type Conformance,
  Expected,
  groupsOf,
  knownModel,
  largest,
  LogProbs,
  otherModel,
  pairGroups,
  read
} from "./references.ts"

/** Against an independent float64 forward, in nats per token. */
const ofPairs: Record<Numerics["compute"], number> = { float32: 1.6e-4, float64: 1e-9 }
/** Against transformers in float32, in nats. */
const ofModels = 5e-5

const scored = (model: ModelState, data: TokenGroups) =>
  Effect.scoped(Effect.gen(function*() {
    const { numerics, open } = yield* Engine
    return yield* scoreAll(yield* open(model), numerics, data)
  }))

/** logprobs.json. */
export const pairChecks = Effect.fnUntraced(
  function*(file: string, model: ModelState, sha256: string): Effect.fn.Return<
    Conformance,
    ComputeError | ModelError,
    Engine
  > {
    const references = yield* read(file, LogProbs)
    const name = "token log-probabilities"
    if (references === undefined) return { checks: [], skipped: [{ name, why: `there is no ${file}` }] }
    const other = otherModel(references.model, sha256)
    if (other !== undefined) return { checks: [], skipped: [{ name, why: other }] }
    const { numerics } = yield* Engine
    const { pairs } = references
    const ours = yield* scored(model, pairGroups(pairs))
    const theirs = pairs.flatMap(({ chosen, rejected }) => [...chosen.logps_f64, ...rejected.logps_f64])
    return {
      checks: [check(`${name}, ${pairs.length} pairs`, largest(ours, theirs), ofPairs[numerics.compute])],
      skipped: []
    }
  }
)

/** One model folder with its expected.json. A family that is not known yet is skipped. */
export const modelChecks = Effect.fnUntraced(
  function*(name: string, folder: string): Effect.fn.Return<Conformance, ComputeError | ModelError, Engine> {
    const title = `model ${name}`
    const expected = yield* read(`${folder}/expected.json`, Expected)
    if (expected === undefined) return { checks: [], skipped: [{ name: title, why: "there is no expected.json" }] }
    const model = yield* knownModel(folder)
    if (typeof model === "string") return { checks: [], skipped: [{ name: title, why: model }] }
    const { sequences } = expected
    const data = groupsOf(
      ["answer"],
      sequences.map(({ ids: [first, ...rest] }, i) => ({ id: String(i), prompt: [first], branches: [rest] }))
    )
    const ours = yield* scored(model, data)
    const error = largest(ours, sequences.flatMap(({ logps }) => logps))
    return { checks: [check(`${title}, ${sequences.length} sequences`, error, ofModels)], skipped: [] }
  }
)
