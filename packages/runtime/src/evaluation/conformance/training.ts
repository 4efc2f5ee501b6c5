// Whole training runs against the peers' curves: the loop, the schedule, clipping, AdamW and the objectives together.
import type { BadFile } from "@penchant/dsl/Errors"
import type { Objective } from "@penchant/dsl/Objective"
import { type Recipe, recipe } from "@penchant/dsl/Recipe"
import { dil, dpo, simpo } from "@penchant/objectives"
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import { Engine, type ModelState } from "../../compute/Engine.ts"
import type { Tensor } from "../../data/safetensors.ts"
import { Progress } from "../../platform/Progress.ts"
import { learningRate, stepsPerEpoch } from "../../training/schedule.ts"
import { train, type TrainingError } from "../../training/train.ts"
import { scoreAll } from "../score.ts"
import {
  type Check,
  check,
  type Conformance,
  largest,
  pairGroups,
  type Run,
  type Setup,
  type TrainingRuns
} from "./references.ts"

type Params = Run["params"]
const number = (params: Params, name: string): number | undefined => {
  const value = params[name]
  return typeof value === "number" ? value : undefined
}
const ratio = ({ aggregation }: Params): "sum" | "mean" | undefined =>
  aggregation === "sum" || aggregation === "mean" ? aggregation : undefined
const present = <A>(name: string, value: A | undefined): { readonly [key: string]: A } =>
  value === undefined ? {} : { [name]: value }

interface Known {
  /** Parameters that the objective has; a run with another one is of something else. */
  readonly params: ReadonlyArray<string>
  readonly make: (params: Params) => Objective
}
const ofDil = (member: typeof dil.lsif): Known => ({
  params: ["aggregation"],
  make: (params) => member(present("ratio", ratio(params)))
})

/** By the references' names. */
const known: Readonly<Record<string, Known>> = {
  dpo: {
    params: ["aggregation", "beta"],
    make: (params) => dpo({ ...present("beta", number(params, "beta")), ...present("ratio", ratio(params)) })
  },
  "dil-lsif": ofDil(dil.lsif),
  "dil-bce": ofDil(dil.bce),
  "dil-ukl": ofDil(dil.ukl),
  simpo: {
    params: ["aggregation", "beta", "gamma_beta_ratio"],
    make: (params) => {
      const beta = number(params, "beta") ?? 2
      return simpo({ beta, gamma: beta * (number(params, "gamma_beta_ratio") ?? 0.25) })
    }
  }
}

/** The objective of a run, or why there is none. */
const objectiveOf = ({ objective, params }: Run): Objective | string => {
  const found = Object.hasOwn(known, objective) ? known[objective] : undefined
  if (found === undefined) return `objective "${objective}" is not there yet`
  const strange = Object.keys(params).find((name) => !found.params.includes(name))
  if (strange !== undefined) return `objective "${objective}" has no parameter "${strange}"`
  if (objective === "simpo" && params["aggregation"] === "sum") return `simpo is on means, the run on sums`
  return found.make(params)
}

const schedules = ["cosine", "linear", "constant"] as const

/** The recipe that a setup describes, and how many of the pairs it reaches; or why there is none. */
export const recipeOf = (setup: Setup, pairs: number): { readonly recipe: Recipe; readonly pairs: number } | string => {
  const { batch_pairs: batchSize, lr_per_step: rates, optimizer, peak_lr: peak, steps, warmup_steps: warm } = setup
  const perEpoch = stepsPerEpoch(pairs, batchSize)
  if (steps > perEpoch && steps % perEpoch !== 0) {
    return `${steps} steps are no whole passes over ${pairs} pairs by ${batchSize}`
  }
  if (rates.length !== steps) return `${rates.length} learning rates for ${steps} steps`
  // Half a step less, so that ceil(ratio * steps) is the stated number whatever the rounding.
  const warmupRatio = warm === undefined ? setup.warmup_ratio ?? 0 : Math.max(0, warm - 0.5) / steps
  const candidates = schedules.map((schedule) => {
    const rate = (_: number, step: number) => learningRate({ learningRate: peak, schedule, warmupRatio }, step, steps)
    return { schedule, error: largest(rates.map(rate), rates) }
  })
  const { schedule } = candidates.reduce((best, next) => (next.error < best.error ? next : best))
  const [beta1, beta2] = optimizer.betas
  return {
    pairs: Math.min(pairs, steps * batchSize),
    recipe: recipe({
      learningRate: peak,
      epochs: Math.max(1, steps / perEpoch),
      batchSize,
      schedule,
      warmupRatio,
      beta1,
      beta2,
      epsilon: optimizer.eps,
      weightDecay: optimizer.weight_decay,
      maxGradNorm: setup.max_grad_norm ?? 0,
      order: "given"
    })
  }
}

const tolerance = { loss: 1e-5, gradNorm: 1e-5, rate: 1e-9, heldOut: 1e-4, tensor: 5e-6 }

const tensorOf = ({ names, parameters, shapes }: ModelState, name: string): ArrayLike<number> => {
  let at = 0
  for (const [i, other] of names.entries()) {
    const size = shapes[i]!.reduce((a, b) => a * b, 1)
    if (other === name) return parameters.subarray(at, at + size)
    at += size
  }
  return []
}

/**
 * Every run of training.json that we have the objective for, from `model`. `tensors` are the final ones, named
 * `objective/tensor`.
 */
export const trainingChecks: (
  references: TrainingRuns,
  model: ModelState,
  tensors: Readonly<Record<string, Tensor>> | undefined
) => Effect.Effect<Conformance, TrainingError | BadFile, Engine | Progress> = Effect.fnUntraced(
  function*({ heldout_pairs, runs, setup, training_pairs }, model, tensors) {
    const engine = yield* Engine
    const checks: Array<Check> = []
    const skipped: Array<Conformance["skipped"][number]> = []
    const settings = recipeOf(setup, training_pairs.length)
    const heldOut = pairGroups(heldout_pairs)
    let reference: Float64Array | undefined
    for (const run of runs) {
      const title = `training ${run.objective}`
      const skip = (name: string, why: string) => void skipped.push({ name, why })
      const objective = objectiveOf(run)
      if (typeof settings === "string" || typeof objective === "string") {
        skip(title, typeof objective === "string" ? objective : String(settings))
        continue
      }
      const data = pairGroups(training_pairs.slice(0, settings.pairs))
      reference ??= yield* Effect.scoped(
        Effect.flatMap(engine.open(model), (session) => scoreAll(session, engine.numerics, data))
      )
      const { cursor, model: trained } = yield* Effect.acquireUseRelease(
        Effect.promise(() => fs.mkdtemp(path.join(os.tmpdir(), "penchant-conformance-"))),
        (scratch) =>
          train({
            label: title,
            model,
            data,
            reference,
            referenceIsStart: true,
            objective,
            recipe: settings.recipe,
            policy: { checkpointEvery: Infinity, checkpointSeconds: Infinity },
            scratch,
            identity: {}
          }),
        (scratch) => Effect.promise(() => fs.rm(scratch, { recursive: true, force: true }))
      )
      const { metrics } = cursor
      const { curve } = run
      const compare = (name: string, error: number, allowed: number) =>
        checks.push(check(`${title}: ${name}`, error, allowed))
      const above1 = (value: number) => Math.max(1, Math.abs(value))
      compare(
        `loss of ${curve.length} steps`,
        largest(metrics.map(({ loss }) => loss), curve.map(({ loss }) => loss), above1),
        tolerance.loss
      )
      compare(
        "gradient norm, relative",
        largest(
          metrics.map(({ grad_norm }) => grad_norm),
          curve.map(({ grad_norm }) => grad_norm),
          (theirs) => theirs || 1
        ),
        tolerance.gradNorm
      )
      compare(
        "learning rate, relative to its peak",
        largest(metrics.map(({ learning_rate }) => learning_rate), curve.map(({ lr }) => lr), () => setup.peak_lr),
        tolerance.rate
      )
      const after = yield* Effect.scoped(
        Effect.flatMap(engine.open(trained), (session) => scoreAll(session, engine.numerics, heldOut))
      )
      const theirs = run.heldout.flatMap(({ chosen, rejected }) => [...chosen, ...rejected])
      compare("held-out log-probabilities", largest(after, theirs), tolerance.heldOut)
      const final = Object.entries(tensors ?? {}).filter(([name]) => name.startsWith(`${run.objective}/`))
      if (final.length === 0) skip(`${title}: final tensors`, "there are none in training-final-tensors.safetensors")
      for (const [name, { data: values }] of final) {
        const tensor = name.slice(run.objective.length + 1)
        compare(`final ${tensor}`, largest(tensorOf(trained, tensor), values as Float32Array), tolerance.tensor)
      }
    }
    return { checks, skipped }
  }
)
