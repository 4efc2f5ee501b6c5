// The one training loop, for supervised fine-tuning and preferences alike: order, schedule, checkpoints, snapshots,
// metrics. Leaves out what happens inside a step (step.ts) and where inputs come from and results go (steps/train.ts).
import {
  type CheckpointMismatch,
  type ComputeError,
  NonFiniteLoss,
  type ReferenceMismatch,
  RowTooLarge,
  type StoreError
} from "@penchant/dsl/Errors"
import { seed } from "@penchant/dsl/Identity"
import type { Objective } from "@penchant/dsl/Objective"
import type { Recipe } from "@penchant/dsl/Recipe"
import type { Policy } from "@penchant/dsl/Step"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { TokenGroups } from "../compute/Batch.ts"
import { Engine, type ModelState, type OptimiserState, type Session } from "../compute/Engine.ts"
import { saveWeights } from "../model/save.ts"
import { Progress } from "../platform/Progress.ts"
import * as Checkpoint from "./Checkpoint.ts"
import { graphsOf, planFit } from "./fit.ts"
import { lossOf } from "./loss.ts"
import { roomFor } from "./room.ts"
import { learningRate, orderOf, snapshotSteps, stepsPerEpoch } from "./schedule.ts"
import { meter, type Speed } from "./speed.ts"
import { optimiserStep, rehearse } from "./step.ts"
import { inOrder } from "./StepMetrics.ts"
import { branchOffsets } from "./tokens.ts"
import { newConcerns } from "./watch.ts"

export interface Training {
  /** For progress and messages. */
  readonly label: string
  readonly model: ModelState
  readonly data: TokenGroups
  /** Of every completion token of the data; needed when the objective mentions a reference. */
  readonly reference: Float64Array | undefined
  /** The reference is the start's own log-probabilities, so the first batch must agree with them. */
  readonly referenceIsStart: boolean
  readonly objective: Objective
  readonly recipe: Recipe
  readonly policy: Policy
  /** Where checkpoints and snapshots live; whatever it holds of an earlier attempt is continued. */
  readonly scratch: string
  readonly identity: Checkpoint.Identity
  /** A finished run that this one extends. */
  readonly from?: { readonly cursor: Checkpoint.Cursor; readonly optimiser: OptimiserState } | undefined
}

export interface Finished extends Checkpoint.Checkpoint {
  /** Paths of the snapshots' weights, by index. */
  readonly snapshots: ReadonlyArray<string>
  /** Of the steps that this process made; undefined when it made none. */
  readonly speed: Speed | undefined
}

export type TrainingError =
  | CheckpointMismatch
  | ComputeError
  | NonFiniteLoss
  | ReferenceMismatch
  | RowTooLarge
  | StoreError

/** Milliseconds between two progress events of one run. */
export const spacing = 100

/** Weights that are not numbers are never written: the checkpoint before them is the last good one. */
const checked = Effect.fnUntraced(function*(model: ModelState, objective: Objective, step: number) {
  const bad = model.parameters.findIndex((value) => !Number.isFinite(value))
  if (bad < 0) return model
  let end = 0
  const tensor = model.names.find((_, i) => bad < (end += model.shapes[i]!.reduce((a, b) => a * b, 1)))
  return yield* new NonFiniteLoss({ objective: objective.name, step, pairs: [], term: `weight "${tensor}"` })
})

/** The state to begin with: the newest whole checkpoint, else the run to extend, else the start. */
const resume = Effect.fnUntraced(function*({ from, identity, label, model, scratch }: Training) {
  const progress = yield* Progress
  const { fit: _, ...extended } = from?.cursor ?? Checkpoint.start
  const first: Checkpoint.Cursor = { ...extended, snapshots: [] }
  const { checkpoint, torn } = yield* Checkpoint.latest(scratch, identity, model)
  for (const name of torn) {
    const message = `checkpoint ${name} is damaged; going on from ${
      checkpoint === undefined ? "the start" : `step ${checkpoint.cursor.step}`
    }`
    yield* progress.emit({ _tag: "Warning", label, message })
  }
  return { first, ...(checkpoint ?? { cursor: first, model, optimiser: from?.optimiser }) }
})

/**
 * Trains to the recipe's horizon, from the newest checkpoint in `scratch` if there is one. An interruption lets the
 * running micro-batch end, writes a checkpoint at the last completed step, and goes on.
 */
export const train: (
  training: Training
) => Effect.Effect<Finished, TrainingError, Engine | Progress> = Effect.fn("train")(function*(training: Training) {
  const { data, label, objective, policy, recipe, scratch } = training
  const engine = yield* Engine
  const { numerics } = engine
  const progress = yield* Progress
  const loss = lossOf(objective, data)
  const perEpoch = stepsPerEpoch(data.ids.length, recipe.batchSize)
  const total = recipe.epochs * perEpoch
  const keep = snapshotSteps(recipe.snapshots, total)
  const { first, model, optimiser, ...resumed } = yield* resume(training)
  let cursor = resumed.cursor
  let written = cursor.step
  const session: Session = yield* engine.open(model, {
    precision: recipe.precision,
    ...(recipe.rounding === undefined ? {} : { roundingSeed: seed(recipe.seed, "train/rounding") }),
    ...(optimiser === undefined ? {} : { optimiser }),
    ...(loss.fused === undefined || numerics.loss === "host" ? {} : { fused: loss.fused })
  })
  const reference = training.reference === undefined
    ? undefined
    : { logProbs: training.reference, offsets: branchOffsets(data) }
  if (loss.needsReference && reference === undefined) {
    return yield* Effect.die(new Error(`objective "${objective.name}" needs a reference`))
  }
  const snapshotFile = (index: number): string => Checkpoint.snapshotFile(scratch, index)
  const weights = Effect.flatMap(session.weights, (current) => checked(current, objective, cursor.step))

  const save = Effect.gen(function*() {
    if (cursor.step === written) return
    const state = { cursor, model: yield* weights, optimiser: yield* session.optimiser }
    yield* Checkpoint.write(scratch, training.identity, state)
    written = cursor.step
  })
  const snapshot = Effect.fnUntraced(function*(index: number) {
    const now = yield* weights
    const file = snapshotFile(index)
    const written = yield* Checkpoint.storing(file, async () => {
      await fs.mkdir(path.dirname(file), { recursive: true })
      const digest = await saveWeights(`${file}.part`, now)
      await fs.rename(`${file}.part`, file)
      return digest
    })
    cursor = { ...cursor, snapshots: [...cursor.snapshots, { step: cursor.step, sha256: written }] }
  })

  const graphs = graphsOf(model)
  const device = session.device === undefined ? undefined : yield* session.device
  const planned = planFit(
    graphs,
    { ...numerics, ...recipe },
    data,
    loss.sides,
    recipe.batchSize,
    device
  )
  const room = roomFor({ session, numerics, label, ids: data.ids, planned, recorded: cursor.fit })
  const compute = recipe.precision === "bfloat16" ? recipe.precision : numerics.compute
  const speed = meter(session, compute, graphs, data, loss.sides)

  let epoch = -1
  let order: Int32Array = new Int32Array(0)
  const pairsOf = (done: number): Int32Array => {
    const now = Math.floor(done / perEpoch)
    if (now !== epoch) order = orderOf(recipe, data.ids.length, cursor.epoch + (epoch = now))
    const at = done % perEpoch * recipe.batchSize
    return order.subarray(at, at + recipe.batchSize)
  }

  const loop = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const pause = restore(Effect.yieldNow)
      const inputs = { session, numerics, data, reference, loss, recipe, pause }
      if (device !== undefined && cursor.step - first.step < total) {
        const epoch = orderOf(recipe, data.ids.length, cursor.epoch)
        yield* room.fitted(cursor.step + 1, (fit) => rehearse({ ...inputs, fit }, epoch))
      }
      let savedAt = yield* Clock.currentTimeMillis
      let shownAt = -Infinity
      for (let done = cursor.step - first.step; done < total; done++) {
        // a small model takes less than a millisecond
        const began = yield* Clock.currentTimeNanos
        const rate = learningRate(recipe, done, total)
        const groups = pairsOf(done)
        const stepped = yield* room.fitted(cursor.step + 1, (fit) =>
          optimiserStep({ ...inputs, fit }, groups, {
            step: cursor.step + 1,
            learningRate: rate,
            gated: training.referenceIsStart && cursor.updates === 0,
            state: cursor.state
          }))
        const { clipped, fed, gradNorm, loss: value, metrics, state, tokens } = stepped
        const step = cursor.step + 1
        const clips = cursor.clipped + (clipped ? 1 : 0)
        const line = inOrder({
          step,
          epoch: cursor.epoch + (done + 1) / perEpoch,
          loss: value,
          learning_rate: rate,
          grad_norm: gradNorm,
          clipped_fraction: clips / step,
          num_tokens: (cursor.metrics.at(-1)?.num_tokens ?? 0) + tokens,
          ...metrics
        })
        const { metrics: before, ...position } = cursor
        cursor = {
          ...position,
          step,
          updates: cursor.updates + 1,
          clipped: clips,
          state,
          ...room.record(),
          metrics: [...before, line]
        }

        speed.add({ groups, tokens, fed, milliseconds: Number((yield* Clock.currentTimeNanos) - began) / 1e6 })
        const now = yield* Clock.currentTimeMillis
        if (now - shownAt >= spacing || done + 1 === total) {
          shownAt = now
          yield* progress.emit({
            _tag: "StepProgress",
            label,
            done: done + 1,
            total,
            unit: "step",
            loss: value,
            ...yield* speed.last
          })
        }
        for (const { concern, message } of newConcerns(cursor.metrics, cursor.said)) {
          cursor = { ...cursor, said: [...cursor.said, concern] }
          yield* progress.emit({ _tag: "Warning", label, message })
        }
        for (const [index, at] of keep.entries()) if (at === done + 1) yield* snapshot(index)
        const due = step - written >= (policy.checkpointEvery ?? 50)
          || now - savedAt >= 1000 * (policy.checkpointSeconds ?? 60)
        if (due && done + 1 < total) {
          yield* save
          savedAt = yield* Clock.currentTimeMillis
        }
      }
      return { cursor, model: yield* weights, optimiser: yield* session.optimiser, speed: yield* speed.all }
    })
  )
  const rescue = save.pipe(
    Effect.catch((error) =>
      progress.emit({ _tag: "Warning", label, message: `no checkpoint was written on interruption: ${error.message}` })
    )
  )
  const finished = yield* Effect.onInterrupt(loop, () => rescue)
  return {
    ...finished,
    cursor: { ...finished.cursor, epoch: finished.cursor.epoch + recipe.epochs },
    snapshots: keep.map((_, index) => snapshotFile(index))
  }
}, Effect.scoped)
