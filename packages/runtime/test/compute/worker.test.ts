// The worker around an engine: same numbers as without it, typed errors, and an end whatever the engine is doing.
import { assert, describe, it } from "@effect/vitest"
import { EngineError, EngineLost, OutOfMemory } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { type Batch, pack } from "../../src/compute/Batch.ts"
import { Engine, type Session } from "../../src/compute/Engine.ts"
import { layer } from "../../src/compute/Engines.ts"
import { start } from "../../src/compute/reference/backend.ts"
import { engineOf } from "../../src/compute/workerClient.ts"
import { tinyLlama, tokenGroups } from "./fixtures.ts"

const faulty = (options: { readonly device?: string } = {}, patience?: number) =>
  engineOf(
    new URL("./faulty.worker.ts", import.meta.url),
    { engine: "faulty", options },
    patience === undefined ? {} : { patience }
  )

const model = tinyLlama(1)
/** A batch whose first token tells the faulty engine what to do. */
const batch = (token: number): Batch => pack(tokenGroups([{ prompt: [token], branches: [[9]] }]), [0])
const pause = (ms: number) => Effect.promise(() => new Promise((resolve) => setTimeout(resolve, ms)))

const withSession = <A, E>(use: (session: Session) => Effect.Effect<A, E, Scope.Scope>) =>
  Effect.scoped(Effect.flatMap(faulty(), (engine) => Effect.flatMap(engine.open(model), use)))

describe("an engine in a worker", () => {
  it.effect("computes what the backend computes, and leaves the caller's arrays alone", () =>
    Effect.gen(function*() {
      const engine = yield* Engine
      assert.strictEqual(engine.numerics.compute, "float64")
      const session = yield* engine.open(model)
      const groups = tokenGroups([{ prompt: [1, 2, 3], branches: [[4, 5], [6]] }])
      const packed = pack(groups, [0])
      const coefficients = Float64Array.of(1, -0.5, 2)
      const update = { learningRate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 }
      const scored = yield* session.score(packed)
      const got = yield* session.forward(packed)
      yield* session.backward(coefficients)
      const gradients = yield* session.gradients
      yield* session.zeroGradients
      assert.isTrue((yield* session.gradients).every((gradient) => gradient === 0))
      yield* session.forward(packed)
      yield* session.backward(coefficients)
      assert.isUndefined(session.device)
      const { gradNorm } = yield* session.update(update)
      const weights = yield* session.weights
      const { m, updates } = yield* session.optimiser

      const plain = yield* Effect.promise(async () => {
        const direct = await (await start({})).open(model, {})
        const logProbs = await direct.forward(packed)
        await direct.backward(coefficients)
        const gradients = await direct.gradients()
        return { logProbs, gradients, update: await direct.update(update), weights: await direct.weights() }
      })
      assert.deepStrictEqual(got, plain.logProbs)
      assert.deepStrictEqual(scored, plain.logProbs)
      assert.deepStrictEqual(gradients, plain.gradients)
      assert.strictEqual(gradNorm, plain.update.gradNorm)
      assert.deepStrictEqual(weights.parameters, plain.weights.parameters)
      assert.deepStrictEqual(weights.names, model.names)
      assert.strictEqual(updates, 1)
      assert.isAbove(Math.hypot(...m), 0)
      // Nothing of the caller's was handed over.
      assert.strictEqual(packed.tokens.length, 4)
      assert.strictEqual(coefficients[0], 1)
    }).pipe(Effect.scoped, Effect.provide(layer("reference"))))

  it.effect("an exception inside is an EngineError that names the operation, and the engine goes on", () =>
    withSession((session) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(session.score(batch(2)))
        assert.instanceOf(error, EngineError)
        assert.deepInclude(error, { engine: "faulty", operation: "score", problem: "a shape it did not expect" })
        assert.deepInclude(yield* Effect.flip(session.gradients), {
          operation: "gradients",
          problem: "not in this engine"
        })
        assert.deepStrictEqual(yield* session.score(batch(0)), Float64Array.of(0))
      })
    ))

  it.effect("a device without room is OutOfMemory with the bytes, and the session goes on", () =>
    withSession((session) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(session.score(batch(7)))
        assert.instanceOf(error, OutOfMemory)
        assert.deepInclude(error, { operation: "score", askedBytes: 3e9, freeBytes: 1e6, totalBytes: 8e9 })
        assert.include(error.message, "(3.00 GB asked, 1.0 MB free, 8.00 GB in all)")
        assert.deepStrictEqual(yield* session.score(batch(0)), Float64Array.of(0))
        assert.strictEqual((yield* session.device!).liveTensors, 2)
      })
    ))

  it.effect("a device that is lost is EngineLost, for every later request too", () =>
    withSession((session) =>
      Effect.gen(function*() {
        for (const ask of [session.score(batch(8)), session.score(batch(0)), session.gradients]) {
          const error = yield* Effect.flip(ask)
          assert.instanceOf(error, EngineLost)
          assert.include(error.message, "unspecified launch failure; run again to continue from the last checkpoint")
        }
      })
    ))

  it.effect("an engine that cannot start says why", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.scoped(faulty({ device: "missing" })))
      assert.deepInclude(error, { _tag: "EngineError", operation: "start", problem: "no such device" })
      const bad = yield* Effect.flip(
        Effect.scoped(Effect.gen(function*() {
          const engine = yield* Engine
          return yield* engine.open({ ...model, config: { architectures: ["Unheard"] } })
        })).pipe(Effect.provide(layer("reference")))
      )
      assert.deepInclude(bad, { _tag: "EngineError", operation: "open" })
      assert.include(bad.message, "Unheard")
    }))

  for (const [how, token, problem] of [["exits", 1, "ended with code 7"], ["throws", 3, "out of the blue"]] as const) {
    it.effect(`a worker that ${how} in the middle is EngineLost for pending and later requests`, () =>
      withSession((session) =>
        Effect.gen(function*() {
          const pending = yield* Effect.forkChild(Effect.flip(session.score(batch(token))))
          const behind = yield* Effect.forkChild(Effect.flip(session.score(batch(0))))
          for (
            const error of [yield* Fiber.join(pending), yield* Fiber.join(behind), yield* Effect.flip(session.weights)]
          ) {
            assert.instanceOf(error, EngineLost)
            assert.include(error.problem, problem)
          }
        })
      ))
  }

  it.effect("what nobody waits for any more is skipped, and the session still closes", () =>
    Effect.scoped(Effect.gen(function*() {
      const engine = yield* faulty()
      const scope = yield* Scope.make()
      const session = yield* Scope.provide(engine.open(model), scope)
      const slow = yield* Effect.forkChild(session.score(batch(5)))
      const queued = yield* Effect.forkChild(session.score(batch(0)))
      yield* pause(50)
      yield* Fiber.interrupt(queued)
      yield* Fiber.interrupt(slow)
      yield* Scope.close(scope, Exit.void)
      // The slow one had begun (5), the queued one never did; -1 is the session's closing.
      const after = yield* engine.open(model)
      assert.deepStrictEqual(yield* after.score(batch(6)), Float64Array.of(5, -1, 6))
    })))

  it.effect("interruption closes the worker, and one that does not answer is terminated", () =>
    Effect.gen(function*() {
      const started = performance.now()
      const busy = yield* Effect.forkChild(
        Effect.scoped(Effect.gen(function*() {
          const engine = yield* faulty({}, 300)
          const session = yield* engine.open(model)
          return yield* session.score(batch(4))
        }))
      )
      yield* pause(700)
      yield* Fiber.interrupt(busy)
      const took = performance.now() - started
      assert.isAtLeast(took, 900)
      assert.isBelow(took, 9000)
      // An idle one ends by itself, well before the patience runs out.
      const idle = performance.now()
      yield* Effect.scoped(faulty())
      assert.isBelow(performance.now() - idle, 8000)
    }))
})
