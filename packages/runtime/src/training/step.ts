// One optimiser step: its pairs through the engine in micro-batches, the loss in float64 on the host, one update.
// Three ways lead through it, equal to the last digits of the engine's precision: loss inside the engine, loss on the
// host, and, where the rows of a batch depend on each other, every log-probability before the first gradient.
import { type ComputeError, NonFiniteLoss, ReferenceMismatch } from "@penchant/dsl/Errors"
import type { Inputs, NonFinite } from "@penchant/dsl/Evaluate"
import type { Precision, Recipe } from "@penchant/dsl/Recipe"
import * as Effect from "effect/Effect"
import { type Batch, pack, type TokenGroups } from "../compute/Batch.ts"
import type { Numerics, Session } from "../compute/Engine.ts"
import { loadOf } from "../compute/load.ts"
import { type Fit, Refused } from "./fit.ts"
import type { Loss } from "./loss.ts"
import { microBatches } from "./microBatches.ts"
import { type Measured, summarise } from "./summary.ts"
import { columnsOf, concat, gather, type Scored, scored } from "./tokens.ts"

export interface Reference {
  /** Log-probability of every completion token of the data, in nats. */
  readonly logProbs: Float64Array
  /** Offsets of the branches in it: see `branchOffsets`. */
  readonly offsets: Int32Array
}

export interface StepInputs {
  readonly session: Session
  readonly numerics: Numerics
  readonly data: TokenGroups
  readonly reference: Reference | undefined
  readonly loss: Loss
  readonly recipe: Recipe
  readonly fit: Fit
  /** Between two runs of the engine: where an interruption is taken. */
  readonly pause: Effect.Effect<void>
}

interface Piece {
  readonly groups: Int32Array
  readonly batch: Batch
  readonly reference: Float64Array | undefined
}

/** What one token of policy and reference may differ by before the first update, in nats. */
const allowed: Record<Numerics["compute"] | Precision, number> = { float32: 1e-4, float64: 1e-9, bfloat16: 0.1 }

const piecesOf = ({ data, fit, loss, numerics, reference }: StepInputs, groups: Int32Array): ReadonlyArray<Piece> =>
  microBatches(data, groups, loss.sides, numerics.groups, fit.rows).map((piece) => ({
    groups: piece,
    batch: pack(data, piece, loss.sides),
    reference: reference === undefined || !loss.needsReference
      ? undefined
      : gather(data, reference.offsets, reference.logProbs, piece, loss.sides)
  }))

const gate = (inputs: StepInputs, { batch, groups, reference }: Piece, policy: Float64Array) => {
  if (reference === undefined) return Effect.void
  let [worst, at] = [0, 0]
  for (let n = 0; n < policy.length; n++) {
    const difference = Math.abs(policy[n]! - reference[n]!)
    if (difference > worst) [worst, at] = [difference, n]
  }
  const { numerics, recipe } = inputs
  const limit = allowed[recipe.precision === "bfloat16" ? "bfloat16" : numerics.compute]
  // Infinities are the loss's to report, with the rows and the term.
  if (!(worst > limit) || !Number.isFinite(worst)) return Effect.void
  let [branch, end] = [0, batch.lengths[0]!]
  while (at >= end) end += batch.lengths[++branch]!
  const row = inputs.data.ids[groups[Math.floor(branch / batch.branches)]!]!
  return Effect.fail(new ReferenceMismatch({ row, difference: worst, allowed: limit }))
}

/** A micro-batch for which the device has no room is named, so that it can be made smaller. */
const fitting = <A>(
  { batch, groups }: Pick<Piece, "batch" | "groups">,
  run: Effect.Effect<A, ComputeError>
): Effect.Effect<A, ComputeError | Refused> =>
  Effect.catchTag(run, "OutOfMemory", (error) => Effect.fail(new Refused(groups, batch.tokens.length, error)))

/** Gradients of the heaviest micro-batch of `groups`, dropped again: what does not fit is refused before the first step. */
export const rehearse = Effect.fnUntraced(
  function*(
    { data, fit: { recompute, rows }, loss, numerics, session }: StepInputs,
    groups: Int32Array
  ): Effect.fn.Return<void, ComputeError | Refused> {
    const rowsIn = (piece: Int32Array): number => loadOf(data, piece, loss.sides).sizes.T
    const pieces = microBatches(data, groups, loss.sides, numerics.groups, rows)
    const heaviest = pieces.reduce((a, b) => (rowsIn(b) > rowsIn(a) ? b : a))
    const batch = pack(data, heaviest, loss.sides)
    const backward = session.backward(new Float64Array(batch.targets.length))
    yield* fitting(
      { batch, groups: heaviest },
      Effect.andThen(session.forward(batch, { recompute }), backward)
    )
    yield* session.zeroGradients
  }
)

/**
 * Runs the pairs `groups` (indices into the data) as step `step` (1-based). `gated`: policy and reference are the same
 * weights so far. Fails before the update when anything is not finite, so the weights stay those of the step before.
 */
export const optimiserStep = Effect.fnUntraced(
  function*(
    inputs: StepInputs,
    groups: Int32Array,
    { gated, learningRate, state, step }: {
      readonly step: number
      readonly learningRate: number
      readonly gated: boolean
      readonly state: Inputs["state"]
    }
  ): Effect.fn.Return<
    ReturnType<typeof summarise> & {
      readonly loss: number
      readonly gradNorm: number
      readonly clipped: boolean
      readonly state: NonNullable<Inputs["state"]>
      /** Rows that went through the engine. */
      readonly fed: number
    },
    ComputeError | NonFiniteLoss | ReferenceMismatch | Refused
  > {
    const { data, fit: { recompute }, loss, pause, recipe, session } = inputs
    const pieces = piecesOf(inputs, groups)
    const tokens = pieces.reduce((sum, { batch }) => sum + batch.targets.length, 0)
    const fed = pieces.reduce((sum, { batch }) => sum + batch.tokens.length, 0)
    const scale = 1 / (loss.per === "token" ? tokens : groups.length)
    const measured: Array<Measured> = []
    let after = state ?? {}

    const check = (problem: NonFinite | undefined, ofGroups: Int32Array) =>
      problem === undefined ? Effect.void : Effect.fail(
        new NonFiniteLoss({
          objective: loss.name,
          step,
          pairs: problem.rows.map((row) => data.ids[ofGroups[row]!]!),
          term: problem.term
        })
      )
    const policyOf = (piece: Piece, run: Effect.Effect<Float64Array, ComputeError>) =>
      Effect.flatMap(
        Effect.andThen(pause, fitting(piece, run)),
        (policy) => Effect.as(gated ? gate(inputs, piece, policy) : Effect.void, policy)
      )
    const measure = (part: Scored, ofGroups: Int32Array) => {
      const result = loss.measure(part, scale, state)
      measured.push(result.measured)
      after = result.state
      return Effect.as(check(result.nonFinite, ofGroups), result.measured.coefficients)
    }
    const scoredOf = (piece: Piece, policy: Float64Array) =>
      scored(data, piece.groups, piece.batch, loss.sides, policy, piece.reference)

    const fused = loss.fused === undefined ? undefined : session.fused
    if (loss.coupled) {
      const parts: Array<Scored> = []
      for (const piece of pieces) parts.push(scoredOf(piece, yield* policyOf(piece, session.score(piece.batch))))
      const coefficients = yield* measure(concat(parts), groups)
      let at = 0
      for (const piece of pieces) {
        const { batch } = piece
        yield* pause
        const part = coefficients.slice(at, at += batch.targets.length)
        yield* fitting(piece, Effect.andThen(session.forward(batch, { recompute }), session.backward(part)))
      }
    } else {
      for (const piece of pieces) {
        const { batch, reference } = piece
        const columns = columnsOf(data, piece.groups)
        const run = fused === undefined
          ? session.forward(batch, { recompute })
          : fused(batch, { columns, scale, ...(reference === undefined ? {} : { reference }) }, { recompute })
        const coefficients = yield* measure(scoredOf(piece, yield* policyOf(piece, run)), piece.groups)
        if (fused === undefined) yield* fitting(piece, session.backward(coefficients))
      }
    }

    yield* pause
    const { beta1, beta2, epsilon, maxGradNorm, weightDecay } = recipe
    const update = { learningRate, beta1, beta2, epsilon, weightDecay, maxGradNorm }
    const { clipped, gradNorm } = yield* session.update(update)
    if (!Number.isFinite(gradNorm)) yield* check({ term: "gradient norm", rows: [] }, groups)
    const summary = summarise(measured, loss.beta)
    return { ...summary, loss: summary.value * scale, gradNorm, clipped, state: after, fed }
  }
)
