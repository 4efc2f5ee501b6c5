import { assert, describe, it } from "@effect/vitest"
import {
  batchMean,
  column,
  type Formula,
  minus,
  type Need,
  negate,
  policy,
  relu,
  square,
  sum,
  times
} from "@penchant/dsl/Formula"
import { logRatio, meanLogProb, type Objective, objective } from "@penchant/dsl/Objective"
import { recipe, type RecipeOptions } from "@penchant/dsl/Recipe"
import { dil, dpo, nll, simpo } from "@penchant/objectives"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { pack } from "../../src/compute/Batch.ts"
import { type Event, Progress } from "../../src/platform/Progress.ts"
import { train, type Training } from "../../src/training/train.ts"
import { bigram, engine, forward, logProbsOf, type Options, pairs } from "./bigram.ts"
import { scratch } from "./scratch.ts"
import { byHand, definitions, sums } from "./textbook.ts"

const run = (
  objective: Objective,
  options: RecipeOptions,
  { data = pairs(10), engineOptions = {}, events, model = bigram(), ...rest }: Partial<Training> & {
    readonly engineOptions?: Options
    readonly events?: Array<Event>
  } = {}
) => {
  const listening = Layer.succeed(
    Progress,
    Progress.of({ emit: (event) => Effect.sync(() => void events?.push(event)) })
  )
  return Effect.flatMap(scratch, (directory) =>
    train({
      label: "test",
      model,
      data,
      reference: logProbsOf(model, data),
      referenceIsStart: true,
      objective,
      recipe: recipe({
        order: "given",
        batchSize: 4,
        warmupRatio: 0,
        learningRate: 0.05,
        schedule: "constant",
        ...options
      }),
      policy: {},
      scratch: directory,
      identity: { objective: objective.name },
      ...rest
    })).pipe(Effect.scoped, Effect.provide(Layer.merge(engine(engineOptions), listening)))
}

const batches = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
const start = bigram()

const margin = minus(logRatio("chosen"), logRatio("rejected"))
const coupled = objective("coupled", {}, () => square(minus(minus(margin, 1), times(0.5, batchMean(margin)))))
const weighted = objective("weighted", {}, () => negate(times(column("weight"), sum(policy("chosen")))))

const cases: ReadonlyArray<readonly [keyof ReturnType<typeof definitions>, Objective]> = [
  ["dpo", dpo({ beta: 0.5 })],
  ["lsif", dil.lsif()],
  ["simpo", simpo({ beta: 2, gamma: 0.5 })],
  ["nllToken", nll()],
  ["nllSequence", nll({ reduction: "sequence" })],
  ["coupled", coupled],
  ["weighted", weighted]
]

describe("train", () => {
  const data = pairs(10, 7, { weight: Float64Array.from({ length: 10 }, (_, i) => 0.5 + i / 10) })

  for (const [name, objective] of cases) {
    it.effect(`is the textbook's loop for ${name}, in micro-batches of 1 and 2, with a partial last batch`, () =>
      Effect.gen(function*() {
        const { cursor, model } = yield* run(objective, { epochs: 2 }, { data, engineOptions: { groups: [1, 2] } })
        const expected = byHand(definitions(data)[name], batches, { learningRate: () => 0.05, maxGradNorm: 1 })
        assert.strictEqual(cursor.metrics.length, 6)
        expected.lines.forEach(({ loss, norm }, step) => {
          const line = cursor.metrics[step]!
          assert.closeTo(line.loss, loss, 1e-6, `loss at step ${step + 1}`)
          assert.closeTo(line.grad_norm, norm, 1e-6 * Math.max(1, norm), `gradient norm at step ${step + 1}`)
        })
        model.parameters.forEach((weight, i) => assert.closeTo(weight, expected.model.parameters[i]!, 2e-6))
      }))
  }

  it.effect("does not depend on the group cut, nor on where the loss runs", () =>
    Effect.gen(function*() {
      const whole = yield* run(dil.bce(), { epochs: 2 })
      const others = yield* Effect.forEach(
        [{ groups: [1] }, { groups: [1, 2, 4] }, { fused: true }, { fused: true, groups: [1, 2] }],
        (engineOptions) => run(dil.bce(), { epochs: 2 }, { engineOptions })
      )
      for (const other of others) {
        assert.strictEqual(other.cursor.metrics.length, 6)
        other.cursor.metrics.forEach((line, i) => {
          for (const [key, value] of Object.entries(line)) {
            assert.closeTo(value as number, whole.cursor.metrics[i]![key as "loss"], 1e-12, `${key} at step ${i + 1}`)
          }
        })
        other.model.parameters.forEach((weight, i) => assert.closeTo(weight, whole.model.parameters[i]!, 1e-12))
      }
    }))

  it.effect("reports what it measured, per step", () =>
    Effect.gen(function*() {
      // To the last bit what the engine returns: ties are ties then.
      const whole = pack(data, data.ids.map((_, g) => g))
      const reference = forward(Float64Array.from(start.parameters), whole).logProbs
      const options = { epochs: 2, warmupRatio: 0.2, maxGradNorm: 0.3 }
      const { cursor } = yield* run(dpo({ beta: 0.5 }), options, { reference })
      const policy = sums(pairs(10), logProbsOf(start, pairs(10)))
      const first = cursor.metrics[0]!
      const mean = (groups: ReadonlyArray<number>, of: (g: number) => number) =>
        groups.reduce((total, g) => total + of(g), 0) / groups.length
      assert.closeTo(first.loss, Math.LN2, 1e-12)
      assert.strictEqual(first.learning_rate, 0)
      assert.closeTo(first["logps/chosen"]!, mean([0, 1, 2, 3], (g) => policy[g]![0]!.total), 1e-12)
      assert.closeTo(first["logps_per_token/rejected"]!, mean([0, 1, 2, 3], (g) => policy[g]![1]!.mean), 1e-12)
      assert.strictEqual(first["rewards/accuracies"], 0.5)
      assert.strictEqual(first["rewards/margins"], 0)
      assert.strictEqual(first.saturated_fraction, 0)
      // every token of DPO at the start has the coefficient beta / 2 / pairs
      const tokens = [0, 1].map((s) => mean([0, 1, 2, 3], (g) => policy[g]![s]!.length))
      assert.closeTo(first["gradient_share/chosen"]!, tokens[0]! / (tokens[0]! + tokens[1]!), 1e-12)
      assert.deepStrictEqual(cursor.metrics.map(({ epoch }) => epoch), [1 / 3, 2 / 3, 1, 4 / 3, 5 / 3, 2])
      const completion = pairs(10).branchLength.reduce((a, b) => a + b, 0)
      assert.strictEqual(cursor.metrics.at(-1)!.num_tokens, 2 * completion)
      const clips = cursor.metrics.map(({ grad_norm }) => grad_norm > 0.3)
      cursor.metrics.forEach((line, i) =>
        assert.strictEqual(line.clipped_fraction, clips.slice(0, i + 1).filter(Boolean).length / (i + 1))
      )
      assert.isTrue(clips.includes(true))
      const last = cursor.metrics.at(-1)!
      assert.closeTo(last["rewards/margins"]!, last["rewards/chosen"]! - last["rewards/rejected"]!, 1e-12)
    }))

  it.effect("leaves out what there is no reference for, and logs the objective's own metrics", () =>
    Effect.gen(function*() {
      const measured = objective("m", {}, (): Formula<Need> => negate(meanLogProb("chosen")), {
        metrics: { hinge: relu(minus(1, meanLogProb("chosen"))) }
      })
      const { cursor } = yield* run(measured, {}, { reference: undefined })
      const [line] = cursor.metrics
      assert.deepStrictEqual(Object.keys(line!).filter((key) => /rewards|displacement|rejected/.test(key)), [])
      assert.closeTo(line!.objective!["hinge"]!, 1 - line!["logps_per_token/chosen"]!, 1e-12)
    }))

  it.effect("orders pairs by a seeded stream, another in every epoch", () =>
    Effect.gen(function*() {
      const losses = (seed: number) =>
        Effect.map(
          run(nll(), { order: "shuffled", seed, epochs: 2, learningRate: 1e-9 }),
          ({ cursor }) => cursor.metrics.map(({ loss }) => loss.toFixed(6))
        )
      const [a, b, c] = [yield* losses(1), yield* losses(1), yield* losses(2)]
      assert.deepStrictEqual(a, b)
      assert.notDeepEqual(a, c)
      assert.notDeepEqual(a.slice(0, 3), a.slice(3))
    }))

  it.effect("stops before the first update when policy and reference disagree, naming the row", () =>
    Effect.gen(function*() {
      const data = pairs(10)
      const reference = logProbsOf(start, data)
      let token = 0
      for (let b = 0; b < 2 * 2 + 1; b++) token += data.branchLength[b]!
      reference[token]! += 3e-4
      const failure = yield* Effect.flip(run(dpo(), {}, { data, reference }))
      assert.strictEqual(failure._tag, "ReferenceMismatch")
      assert.strictEqual(failure._tag === "ReferenceMismatch" ? failure.row : "", "row-2")
      assert.closeTo(failure._tag === "ReferenceMismatch" ? failure.difference : 0, 3e-4, 1e-12)
      // Another model as reference is no mistake.
      const { cursor } = yield* run(dpo(), {}, { data, reference, referenceIsStart: false })
      assert.strictEqual(cursor.step, 3)
    }))

  it.effect("stops with the rows and the term when the loss is not finite", () =>
    Effect.gen(function*() {
      const data = pairs(10)
      const reference = logProbsOf(start, data)
      // exp(2000) of pair 5's rejected answer overflows
      let token = 0
      for (let b = 0; b < 2 * 5 + 1; b++) token += data.branchLength[b]!
      reference[token]! -= 2000
      const failure = yield* Effect.flip(
        run(dil.lsif({ ratio: "sum" }), {}, { data, reference, referenceIsStart: false })
      )
      assert.strictEqual(failure._tag, "NonFiniteLoss")
      if (failure._tag !== "NonFiniteLoss") return
      assert.deepStrictEqual([failure.objective, failure.step, failure.pairs], ["dil-lsif", 2, ["row-5"]])
      assert.include(failure.term, "exp")
    }))

  it.effect("stops when the gradient is not finite", () =>
    Effect.gen(function*() {
      const failure = yield* Effect.flip(run(dpo(), {}, { engineOptions: { poisonedFrom: 3 } }))
      assert.strictEqual(failure._tag, "NonFiniteLoss")
      assert.include(failure.message, "dpo: gradient norm is not finite at step 3")
    }))

  it.effect("warns once when pairs saturate, and says how far it is", () =>
    Effect.gen(function*() {
      const events: Array<Event> = []
      const { cursor } = yield* run(dpo({ beta: 5 }), { epochs: 20, learningRate: 0.5 }, { events })
      const warnings = events.filter((event) => event._tag === "Warning").map(({ message }) => message)
      assert.strictEqual(warnings.length, 1)
      assert.include(warnings[0], "no longer move the weights")
      assert.isTrue(cursor.metrics.at(-1)!.saturated_fraction > 0.5)
      assert.deepStrictEqual(events.findLast((event) => event._tag === "StepProgress"), {
        _tag: "StepProgress",
        label: "test",
        done: 60,
        total: 60,
        unit: "step",
        loss: cursor.metrics.at(-1)!.loss
      })
    }))

  for (const [name, unlikely] of [["a", logRatio("chosen")], ["no", meanLogProb("chosen")]] as const) {
    it.effect(`warns once when the chosen answers collapse, with ${name} reference`, () =>
      Effect.gen(function*() {
        const events: Array<Event> = []
        const losing = objective("losing", {}, (): Formula<Need> => unlikely)
        const { cursor } = yield* run(losing, { epochs: 20, learningRate: 0.5 }, { events })
        const warnings = events.filter((event) => event._tag === "Warning").map(({ message }) => message)
        assert.strictEqual(warnings.length, 1)
        const [, step, change] = /^step (\d+): .* unlikely: (-[\d.]+) nats per token/.exec(warnings[0]!)!
        const ofChosen = (from: number) =>
          cursor.metrics.slice(from, from + 5).reduce((total, line) => total + line["logps_per_token/chosen"]!, 0) / 5
        if (name === "no") assert.closeTo(Number(change), ofChosen(Number(step) - 5) - ofChosen(0), 0.006)
        assert.isTrue(Number(change) < -1)
      }))
  }
})
