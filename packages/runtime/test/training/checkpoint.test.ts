import { assert, describe, it } from "@effect/vitest"
import { batchMean, minus, runningMean, square, times } from "@penchant/dsl/Formula"
import { logRatio, type Objective, objective } from "@penchant/dsl/Objective"
import { recipe, type RecipeOptions } from "@penchant/dsl/Recipe"
import { dpo } from "@penchant/objectives"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Event } from "../../src/platform/Progress.ts"
import type { Finished, Training } from "../../src/training/train.ts"
import { bigram, type Options, pairs, trainBigram } from "./bigram.ts"
import { scratch } from "./scratch.ts"

const data = pairs(10)
const start = bigram()
const margin = minus(logRatio("chosen"), logRatio("rejected"))
/** Needs the running mean of everything seen: what a checkpoint must not lose. */
const stateful = objective(
  "stateful",
  {},
  () => square(minus(minus(margin, 1), times(0.1, minus(runningMean("seen", margin), batchMean(margin)))))
)

const run = (
  directory: string,
  { identity = { objective: "x", data: "y" }, objective = stateful, options = {}, ...rest }:
    & Partial<Training>
    & { readonly objective?: Objective; readonly options?: RecipeOptions; readonly events?: Array<Event> } = {},
  engineOptions: Options = {}
) =>
  trainBigram({
    data,
    model: start,
    objective,
    recipe: recipe({ epochs: 4, batchSize: 4, learningRate: 0.05, snapshots: 3, ...options }),
    policy: { checkpointEvery: 2 },
    scratch: directory,
    identity,
    ...rest
  }, { groups: [1, 2], ...engineOptions })

const bytesOf = ({ cursor, model, optimiser, snapshots }: Finished) => ({
  weights: [...model.parameters],
  m: [...optimiser.m],
  v: [...optimiser.v],
  updates: optimiser.updates,
  cursor: JSON.stringify(cursor),
  snapshots: snapshots.map((file) => fs.readFileSync(file).toString("base64"))
})
const uninterrupted = Effect.scoped(Effect.flatMap(scratch, (at) => Effect.map(run(at), bytesOf)))

/** Engine runs of one step of 4 pairs in micro-batches of 2: a score of each, forward and backward of each, an update. */
const perStep = 2 + 4 + 1

/** Runs until the engine has made `runs` runs, then interrupts. */
const interruptedAfter = (directory: string, runs: number, options: Parameters<typeof run>[1] = {}) =>
  Effect.gen(function*() {
    const reached = yield* Deferred.make<void>()
    const fiber = yield* Effect.forkChild(run(directory, { policy: {}, ...options }, {
      onRun: (made) => {
        if (made === runs) Deferred.doneUnsafe(reached, Effect.void)
      }
    }))
    yield* Deferred.await(reached)
    yield* Fiber.interrupt(fiber)
    return yield* Fiber.await(fiber)
  })

const stored = (directory: string) => fs.readdirSync(path.join(directory, "checkpoints")).toSorted()

describe("checkpoint", () => {
  it.live("is written on interruption at the last completed step, and resuming ends with the same bytes", () =>
    Effect.scoped(Effect.gen(function*() {
      const expected = yield* uninterrupted
      for (const runs of [perStep * 2 + 1, perStep * 5 - 2, perStep * 7 + 3]) {
        const directory = yield* scratch
        const exit = yield* interruptedAfter(directory, runs)
        assert.isTrue(Exit.isFailure(exit) && Exit.hasInterrupts(exit))
        // The partial third batch of an epoch (2 pairs) takes 4 runs, so the step is counted from the stored cursor.
        const [name] = stored(directory)
        const { stored: { cursor } } = JSON.parse(
          fs.readFileSync(path.join(directory, "checkpoints", name!, "cursor.json"), "utf8")
        ) as { stored: { cursor: { step: number; metrics: Array<unknown> } } }
        assert.strictEqual(name, `step-${String(cursor.step).padStart(9, "0")}`)
        assert.strictEqual(cursor.metrics.length, cursor.step)
        assert.isTrue(cursor.step >= 2 && cursor.step < 12)
        assert.deepStrictEqual(bytesOf(yield* run(directory)), expected)
      }
    })))

  it.live("may be interrupted again and again", () =>
    Effect.scoped(Effect.gen(function*() {
      const expected = yield* uninterrupted
      const directory = yield* scratch
      for (let i = 0; i < 4; i++) yield* interruptedAfter(directory, 2 * perStep)
      assert.deepStrictEqual(bytesOf(yield* run(directory)), expected)
    })))

  it.effect("keeps two, by steps; a damaged one is said so and the one before is used", () =>
    Effect.scoped(Effect.gen(function*() {
      const expected = yield* uninterrupted
      const damages: ReadonlyArray<readonly [file: string, damage: (bytes: Buffer) => Buffer]> = [
        ["state.safetensors", (bytes) => bytes.subarray(0, bytes.length - 8)],
        ["state.safetensors", (bytes) => bytes.fill(bytes.at(-1)! ^ 1, bytes.length - 1)],
        ["cursor.json", (bytes) => bytes.subarray(0, bytes.length / 2)],
        ["cursor.json", (bytes) => Buffer.from(bytes.toString().replace(`"clipped":`, `"clipped":1`))]
      ]
      for (const [file, damage] of damages) {
        const directory = yield* scratch
        yield* run(directory)
        assert.deepStrictEqual(stored(directory), ["step-000000008", "step-000000010"])
        const newest = path.join(directory, "checkpoints", "step-000000010", file)
        fs.writeFileSync(newest, damage(fs.readFileSync(newest)))
        fs.mkdirSync(path.join(directory, "checkpoints", "writing-1"))
        const events: Array<Event> = []
        assert.deepStrictEqual(bytesOf(yield* run(directory, { events })), expected)
        assert.deepStrictEqual(events[0], {
          _tag: "Warning",
          label: "test",
          message: "checkpoint step-000000010 is damaged; going on from step 8"
        })
        assert.deepStrictEqual(stored(directory), ["step-000000008", "step-000000010"])
      }
    })))

  it.effect("is of no use when a snapshot that it names is gone", () =>
    Effect.scoped(Effect.gen(function*() {
      const expected = yield* uninterrupted
      const directory = yield* scratch
      yield* run(directory)
      fs.rmSync(path.join(directory, "snapshots", "0.safetensors"))
      const events: Array<Event> = []
      assert.deepStrictEqual(bytesOf(yield* run(directory, { events })), expected)
      assert.deepStrictEqual(events.filter((event) => event._tag === "Warning").map(({ message }) => message), [
        "checkpoint step-000000010 is damaged; going on from the start",
        "checkpoint step-000000008 is damaged; going on from the start"
      ])
    })))

  it.effect("is refused under another objective or other data, with the difference", () =>
    Effect.scoped(Effect.gen(function*() {
      const directory = yield* scratch
      yield* run(directory)
      const failure = yield* Effect.flip(run(directory, { identity: { objective: "z", data: "y", tokenizer: "t" } }))
      assert.strictEqual(failure._tag, "CheckpointMismatch")
      assert.include(failure.message, "another objective, tokenizer;")
    })))

  it.effect("survives a failed step: what is not finite is never written", () =>
    Effect.scoped(Effect.gen(function*() {
      const directory = yield* scratch
      const failure = yield* Effect.flip(run(directory, { objective: dpo() }, { poisonedFrom: 6 }))
      assert.strictEqual(failure._tag === "NonFiniteLoss" ? failure.step : 0, 6)
      assert.deepStrictEqual(stored(directory), ["step-000000002", "step-000000004"])
    })))

  it.effect("fails with the path when the directory cannot be written", () =>
    Effect.scoped(Effect.gen(function*() {
      const directory = yield* scratch
      fs.writeFileSync(path.join(directory, "checkpoints"), "a file where a directory should be")
      const failure = yield* Effect.flip(run(directory))
      assert.strictEqual(failure._tag, "StoreError")
      assert.include(failure.message, path.join(directory, "checkpoints"))
    })))
})

describe("extend", () => {
  it.effect("goes on from the optimiser's state, with a new schedule, order and step numbers that continue", () =>
    Effect.scoped(Effect.gen(function*() {
      const first = yield* run(yield* scratch)
      const { cursor, model, optimiser } = first
      const more = yield* run(yield* scratch, {
        model,
        from: { cursor, optimiser },
        options: { epochs: 2, warmupRatio: 0.5, snapshots: 1 }
      })
      assert.strictEqual(more.cursor.step, 18)
      assert.strictEqual(more.optimiser.updates, 18)
      assert.strictEqual(more.cursor.epoch, 6)
      assert.deepStrictEqual(more.cursor.metrics.slice(0, 12), cursor.metrics)
      const rates = more.cursor.metrics.slice(12).map(({ learning_rate }) => learning_rate / 0.05)
      assert.deepStrictEqual(rates.map((rate) => Math.round(rate * 3)), [0, 1, 2, 3, 2, 1])
      assert.strictEqual(more.cursor.metrics.at(-1)!.epoch, 6)
      assert.strictEqual(more.cursor.state["seen"]!.count, 60)
      assert.deepStrictEqual(more.cursor.snapshots.map(({ step }) => step), [18])

      // Without Adam's state the same steps end elsewhere.
      const fresh = yield* run(yield* scratch, {
        model,
        referenceIsStart: false,
        options: { epochs: 2, warmupRatio: 0.5 }
      })
      assert.isAbove(Math.abs(fresh.model.parameters[0]! - more.model.parameters[0]!), 1e-4)
    })))

  it.live("resumes like any run", () =>
    Effect.scoped(Effect.gen(function*() {
      const { cursor, model, optimiser } = yield* run(yield* scratch)
      const extension = { model, from: { cursor, optimiser }, options: { epochs: 2 } }
      const expected = bytesOf(yield* run(yield* scratch, extension))
      const directory = yield* scratch
      yield* interruptedAfter(directory, 3 * perStep, extension)
      assert.deepStrictEqual(bytesOf(yield* run(directory, extension)), expected)
    })))
})
