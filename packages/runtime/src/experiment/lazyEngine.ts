// The engine, started when a step first opens a model on it: a run of hits never pays for it. One that was lost is started
// again for the next step.
import { type ComputeError, EngineError } from "@penchant/dsl/Errors"
import { canonical } from "@penchant/dsl/Identity"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { Engine, type Numerics } from "../compute/Engine.ts"

export interface LazyEngine {
  readonly numerics: Effect.Effect<Numerics, ComputeError>
  /** What implementations see; opening a model starts the real one. */
  readonly engine: Effect.Effect<Engine["Service"], ComputeError>
  readonly stop: Effect.Effect<void>
}

interface Started {
  readonly scope: Scope.Closeable
  readonly engine: Engine["Service"]
}

/** With `numerics` given, keys can be made before the engine runs; it must then say the same of itself. */
export const lazyEngine = Effect.fnUntraced(
  function*(layer: Layer.Layer<Engine, ComputeError>, promised: Numerics | undefined) {
    const scope = yield* Effect.scope
    const one = yield* Semaphore.make(1)
    let current: Started | undefined

    const start = one.withPermit(Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        if (current !== undefined) return current.engine
        const own = yield* Scope.fork(scope)
        const engine = yield* restore(Layer.buildWithScope(layer, own)).pipe(
          Effect.map((context) => Context.get(context, Engine)),
          Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(own, exit))
        )
        if (promised !== undefined && canonical(promised) !== canonical(engine.numerics)) {
          yield* Scope.close(own, Exit.void)
          return yield* new EngineError({
            engine: promised.engine,
            operation: "start",
            problem: `computes otherwise than was planned (${canonical(engine.numerics)}, planned ${
              canonical(promised)
            })`
          })
        }
        current = { scope: own, engine }
        return engine
      })
    ))

    const stop = one.withPermit(Effect.suspend(() => {
      const started = current
      current = undefined
      return started === undefined ? Effect.void : Scope.close(started.scope, Exit.void)
    }))

    const numerics = promised === undefined ? Effect.map(start, (engine) => engine.numerics) : Effect.succeed(promised)
    return {
      numerics,
      engine: Effect.map(
        numerics,
        (numerics) =>
          Engine.of({
            numerics,
            open: (model, options) => Effect.flatMap(start, (engine) => engine.open(model, options))
          })
      ),
      stop
    } satisfies LazyEngine
  }
)
