// Scores every completion token of a data set, in the order that log-probabilities are kept in.
import type { ComputeError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import { pack, type TokenGroups } from "../compute/Batch.ts"
import type { Numerics, Session } from "../compute/Engine.ts"
import { completionTokens } from "../data/tokensFile.ts"
import { microBatches } from "../training/microBatches.ts"

/** [completion tokens] nats; `onGroups` hears how many groups are done. */
export const scoreAll = Effect.fnUntraced(
  function*(
    session: Session,
    numerics: Numerics,
    data: TokenGroups,
    onGroups: (done: number) => Effect.Effect<void> = () => Effect.void
  ): Effect.fn.Return<Float64Array, ComputeError> {
    const logProbs = new Float64Array(completionTokens(data))
    let [at, done] = [0, 0]
    for (const groups of microBatches(data, Int32Array.from(data.ids, (_, g) => g), data.sides, numerics.groups)) {
      const part = yield* session.score(pack(data, groups))
      logProbs.set(part, at)
      at += part.length
      done += groups.length
      yield* onGroups(done)
    }
    return logProbs
  }
)
