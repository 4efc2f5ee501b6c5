// Makes an optimiser step fit: runs it, and when the device has no room runs it again from its start, cut smaller. Nothing of
// a step reaches the weights before its update, so the numbers are those of a run that was cut so from the beginning.
import { type ComputeError, type NonFiniteLoss, type ReferenceMismatch, RowTooLarge } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import type { Numerics, Session } from "../compute/Engine.ts"
import { Progress } from "../platform/Progress.ts"
import { type Fit, type Refused, smaller } from "./fit.ts"

type StepError = ComputeError | NonFiniteLoss | ReferenceMismatch

/** `planned` to begin with, or `recorded` when an earlier part of the run had to shrink. */
export const roomFor = (
  { ids, label, numerics, planned, recorded, session }: {
    readonly session: Session
    readonly numerics: Numerics
    readonly label: string
    /** Of the rows, for messages. */
    readonly ids: ReadonlyArray<string>
    readonly planned: Fit
    readonly recorded: Fit | undefined
  }
) => {
  let shrunk = recorded
  const shrink = Effect.fnUntraced(function*(refused: Refused, step: number) {
    const { error: { askedBytes, freeBytes, message, totalBytes }, groups, rows } = refused
    const next = smaller(shrunk ?? planned, refused)
    if (next === undefined) {
      return yield* new RowTooLarge({
        row: ids[groups[0]!]!,
        tokens: rows,
        ...(askedBytes === undefined ? {} : { askedBytes }),
        ...(freeBytes === undefined ? {} : { freeBytes }),
        ...(totalBytes === undefined ? {} : { totalBytes })
      })
    }
    shrunk = next
    yield* session.zeroGradients
    const sentences = [
      `step ${step}: ${rows} tokens did not fit (${message})`,
      `going on with at most ${next.rows} in a micro-batch${next.recompute ? ", blocks recomputed" : ""}`,
      ...(numerics.determinism === "bitwise" ? ["sums are ordered anew, so the result is seeded"] : [])
    ]
    yield* (yield* Progress).emit({ _tag: "Warning", label, message: sentences.join("; ") })
  })
  const fitted = <A>(
    step: number,
    run: (fit: Fit) => Effect.Effect<A, StepError | Refused>
  ): Effect.Effect<A, StepError | RowTooLarge, Progress> =>
    Effect.catchTag(
      Effect.suspend(() => run(shrunk ?? planned)),
      "Refused",
      (refused) => Effect.andThen(shrink(refused, step), fitted(step, run))
    )
  return {
    /** `step` is 1-based, for messages. */
    fitted,
    /** What belongs into a checkpoint: nothing while the plan holds. */
    record: (): { readonly fit?: Fit } => (shrunk === undefined ? {} : { fit: shrunk })
  }
}
