// A model small enough to train in microseconds, as an in-process engine: the log-probability of a token is a row of a
// table, picked by the token before it, through a softmax. Gradients are exact and float64, runs bitwise repeatable.
import { type ComputeError, EngineError, EngineLost, OutOfMemory } from "@penchant/dsl/Errors"
import { compile } from "@penchant/dsl/Evaluate"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Batch, TokenGroups } from "../../src/compute/Batch.ts"
import {
  type DeviceState,
  Engine,
  type FusedLoss,
  type ModelState,
  type Numerics,
  type OptimiserState,
  type Session
} from "../../src/compute/Engine.ts"
import { adamW, clipFactor, decays, normOf } from "../../src/compute/optimiser.ts"
import { type Event, Progress } from "../../src/platform/Progress.ts"
import { below, random } from "../../src/platform/random.ts"
import { inBatchOrder, inputsOf } from "../../src/training/tokens.ts"
import { train, type Training } from "../../src/training/train.ts"

export const vocabulary = 12

/** Logits in [-1, 1): row = previous token, column = next. */
export const bigram = (seed = 1): ModelState => {
  const draw = random(seed)
  return {
    config: { model_type: "bigram", vocab_size: vocabulary },
    names: ["bigram.weight"],
    shapes: [[vocabulary, vocabulary]],
    parameters: Float64Array.from({ length: vocabulary * vocabulary }, () => draw() / 2 ** 31 - 1)
  }
}

/** Random preference groups: prompts of 1-6 tokens, answers of 1-7. */
export const pairs = (count: number, seed = 7, columns: TokenGroups["columns"] = {}): TokenGroups => {
  const draw = random(seed)
  const tokens: Array<number> = []
  const offsets = [0]
  const promptLength: Array<number> = []
  const branchLength: Array<number> = []
  for (let g = 0; g < count; g++) {
    const lengths = [1 + below(6, draw), 1 + below(7, draw), 1 + below(7, draw)]
    promptLength.push(lengths[0]!)
    branchLength.push(lengths[1]!, lengths[2]!)
    for (const length of lengths) for (let i = 0; i < length; i++) tokens.push(below(vocabulary, draw))
    offsets.push(tokens.length)
  }
  return {
    tokens: Int32Array.from(tokens),
    offsets: Int32Array.from(offsets),
    promptLength: Int32Array.from(promptLength),
    branchLength: Int32Array.from(branchLength),
    sides: ["chosen", "rejected"],
    ids: Array.from({ length: count }, (_, g) => `row-${g}`),
    columns
  }
}

interface Softmax {
  /** [N] */
  readonly logProbs: Float64Array
  /** [N] token before each completion token. */
  readonly previous: Int32Array
  /** [vocabulary * vocabulary] probability of every next token. */
  readonly probabilities: Float64Array
}

/** What the engine's `forward` computes. */
export const forward = (weights: Float64Array, batch: Batch): Softmax => {
  const probabilities = new Float64Array(weights.length)
  const logs = new Float64Array(weights.length)
  for (let row = 0; row < weights.length; row += vocabulary) {
    let largest = -Infinity
    for (let v = row; v < row + vocabulary; v++) largest = Math.max(largest, weights[v]!)
    let sum = 0
    for (let v = row; v < row + vocabulary; v++) sum += Math.exp(weights[v]! - largest)
    for (let v = row; v < row + vocabulary; v++) {
      logs[v] = weights[v]! - largest - Math.log(sum)
      probabilities[v] = Math.exp(logs[v]!)
    }
  }
  const previous = Int32Array.from(batch.predictor, (m) => batch.tokens[batch.rows[m]!]!)
  const logProbs = Float64Array.from(batch.targets, (target, n) => logs[previous[n]! * vocabulary + target]!)
  return { logProbs, previous, probabilities }
}

/** Log-probabilities of every completion token, computed one group at a time without the engine. */
export const logProbsOf = (model: ModelState, data: TokenGroups): Float64Array => {
  const all: Array<number> = []
  const weights = Float64Array.from(model.parameters)
  data.ids.forEach((_, g) => {
    const end = data.offsets[g]! + data.promptLength[g]!
    let at = end
    data.sides.forEach((_, s) => {
      let previous = data.tokens[end - 1]!
      const length = data.branchLength[g * data.sides.length + s]!
      for (const token of data.tokens.subarray(at, at + length)) {
        const row = weights.subarray(previous * vocabulary, (previous + 1) * vocabulary)
        all.push(row[token]! - Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0)))
        previous = token
      }
      at += length
    })
  })
  return Float64Array.from(all)
}

export interface Options {
  readonly groups?: ReadonlyArray<number>
  readonly fused?: boolean
  /** Milliseconds that every run takes, so that a kill has something to hit. */
  readonly delay?: number
  /** Called with the number of engine runs so far, before each. */
  readonly onRun?: (runs: number) => void
  /** Rows for which the device has room: a batch with more is refused. `onRefused` hears of it. */
  readonly room?: number
  readonly onRefused?: (rows: number) => void
  /** The number of the run (1-based) whose gradients do not fit, after the log-probabilities did. */
  readonly fullAt?: number
  /** The number of the run at which the device is lost. */
  readonly lostAt?: number
  readonly device?: DeviceState
  /** Called with the rows of every batch whose gradients are asked for. */
  readonly onBackward?: (rows: number) => void
  /** Every gradient norm from this update on (1-based) is not a number. */
  readonly poisonedFrom?: number
}

const numerics = ({ fused = false, groups = [] }: Options): Numerics => ({
  engine: "bigram",
  version: "1",
  compute: "float64",
  loss: fused ? "fused" : "host",
  determinism: "bitwise",
  groups
})

const session = (model: ModelState, options: Options, optimiser?: OptimiserState, loss?: FusedLoss): Session => {
  const weights = Float64Array.from(model.parameters)
  const gradients = new Float64Array(weights.length)
  const m = Float64Array.from(optimiser?.m ?? gradients)
  const v = Float64Array.from(optimiser?.v ?? gradients)
  let updates = optimiser?.updates ?? 0
  let kept: { readonly batch: Batch; readonly softmax: Softmax } | undefined
  let runs = 0
  const program = loss === undefined ? undefined : compile(loss.formula, loss.parameters)
  const noRoom = (operation: string, rows: number) => {
    options.onRefused?.(rows)
    return new OutOfMemory({ engine: "bigram", operation, problem: "full", askedBytes: 8 * rows, freeBytes: 10 })
  }
  const run = <A>(work: () => A): Effect.Effect<A, ComputeError> =>
    Effect.suspend((): Effect.Effect<A, ComputeError> => {
      runs += 1
      options.onRun?.(runs)
      if (runs === options.lostAt) {
        return Effect.fail(new EngineLost({ engine: "bigram", problem: "the device is gone" }))
      }
      const counted = options.groups === undefined || kept === undefined || options.groups.includes(kept.batch.groups)
      const now = counted ? Effect.sync(work) : Effect.fail(
        new EngineError({ engine: "bigram", operation: "forward", problem: `${kept!.batch.groups} groups` })
      )
      const { delay } = options
      return delay === undefined
        ? now
        : Effect.andThen(Effect.promise(() => new Promise((resolve) => setTimeout(resolve, delay))), now)
    })
  const admit = <A>(operation: string, { tokens }: Batch, made: Effect.Effect<A, ComputeError>) =>
    tokens.length > (options.room ?? Infinity) ? Effect.fail(noRoom(operation, tokens.length)) : made
  const score = (batch: Batch) => admit("score", batch, run(() => forward(weights, batch).logProbs))
  const keep = (batch: Batch): Effect.Effect<Float64Array, ComputeError> =>
    admit(
      "forward",
      batch,
      Effect.suspend(() => {
        const softmax = forward(weights, batch)
        kept = { batch, softmax }
        return run(() => softmax.logProbs.slice())
      })
    )
  const accumulate = (coefficients: Float64Array): void => {
    const { batch, softmax } = kept!
    kept = undefined
    options.onBackward?.(batch.tokens.length)
    batch.targets.forEach((target, n) => {
      const row = softmax.previous[n]! * vocabulary
      for (let next = 0; next < vocabulary; next++) {
        gradients[row + next]! += coefficients[n]! * ((next === target ? 1 : 0) - softmax.probabilities[row + next]!)
      }
    })
  }
  const fused: NonNullable<Session["fused"]> = (batch, { columns, reference, scale }) =>
    Effect.map(keep(batch), (policy) => {
      const sides = loss!.sides as ReadonlyArray<"chosen" | "rejected">
      const part = { groups: batch.groups, sides, lengths: batch.lengths, policy, reference, columns }
      accumulate(inBatchOrder(part, program!.run(inputsOf(part, undefined)).coefficients, scale))
      return policy
    })
  return {
    score,
    forward: keep,
    backward: (coefficients) =>
      Effect.suspend(() =>
        runs + 1 === options.fullAt
          ? Effect.andThen(run(() => {}), Effect.fail(noRoom("backward", kept!.batch.tokens.length)))
          : run(() => accumulate(coefficients))
      ),
    generate: () => Effect.die(new Error("the bigram model is not asked to generate")),
    ...(options.device === undefined ? {} : { device: Effect.succeed(options.device) }),
    ...(loss === undefined || options.fused !== true ? {} : { fused }),
    update: (update) =>
      run(() => {
        updates += 1
        const gradNorm = options.poisonedFrom !== undefined && updates >= options.poisonedFrom ? NaN : normOf(gradients)
        const factor = clipFactor(gradNorm, update)
        const plain = decays(model.shapes[0]!) ? update : { ...update, weightDecay: 0 }
        adamW(weights, gradients, { m, v }, plain, { factor, from: 0, to: weights.length, updates })
        gradients.fill(0)
        return { gradNorm, clipped: factor < 1 }
      }),
    weights: Effect.sync(() => ({ ...model, parameters: weights.slice() })),
    optimiser: Effect.sync(() => ({ m: m.slice(), v: v.slice(), updates })),
    gradients: Effect.sync(() => gradients.slice()),
    zeroGradients: Effect.sync(() => {
      kept = undefined
      gradients.fill(0)
    })
  }
}

export const engine = (options: Options = {}): Layer.Layer<Engine> =>
  Layer.succeed(
    Engine,
    Engine.of({
      numerics: numerics(options),
      open: (model, { fused, optimiser } = {}) => Effect.sync(() => session(model, options, optimiser, fused))
    })
  )

/** Trains from `model`, which is the reference too; `events` gets what happens. */
export const trainBigram = (
  { data, events, model, ...rest }:
    & Pick<Training, "data" | "identity" | "model" | "objective" | "policy" | "recipe" | "scratch">
    & Partial<Training>
    & { readonly events?: Array<Event> },
  options: Options
) =>
  train({
    label: "test",
    data,
    model,
    reference: logProbsOf(model, data),
    referenceIsStart: true,
    ...rest
  }).pipe(Effect.provide(Layer.merge(
    engine(options),
    Layer.succeed(Progress, Progress.of({ emit: (event) => Effect.sync(() => void events?.push(event)) }))
  )))
