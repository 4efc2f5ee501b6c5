// The main thread's side of an engine's worker: one scoped worker, requests as Effects, and what became of it.
// A worker that dies, or whose device is lost, fails every pending and later request with `EngineLost`; an exception inside
// is `EngineError`, or `OutOfMemory`.
import { type ComputeError, EngineError, EngineLost, OutOfMemory } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { Worker } from "node:worker_threads"
import { Progress } from "../platform/Progress.ts"
import { inBfloat16 } from "./backends.ts"
import type { Batch } from "./Batch.ts"
import type { FusedInputs, RunOptions, Session } from "./Engine.ts"
import { Engine } from "./Engine.ts"
import type { Hello, Reply, Request, Verb, Verbs, WorkerData } from "./protocol.ts"

/** How long a worker may take to close before it is terminated, in milliseconds. */
const patience = 10_000

/** What a worker says once its engine is up. */
type Started = Exclude<Hello, { readonly problem: string }>

type Resume = (effect: Effect.Effect<unknown, ComputeError>) => void

interface Connection {
  readonly hello: Effect.Effect<Started, ComputeError>
  readonly ask: <V extends Verb>(
    session: number,
    verb: V,
    ask: Verbs[V]["ask"]
  ) => Effect.Effect<Verbs[V]["answer"], ComputeError>
  /** Sends without waiting for the answer. */
  readonly tell: (session: number, verb: "close") => void
  readonly end: (patience: number) => Promise<void>
}

const connect = (file: URL, data: WorkerData): Connection => {
  const { engine } = data
  const worker = new Worker(file, { workerData: data })
  const pending = new Map<number, { readonly verb: Verb | "start"; readonly resume: Resume }>()
  const start = 0
  let next = start + 1
  let greeting: Effect.Effect<Started, ComputeError> | undefined
  let lost: EngineLost | undefined
  const settle = (id: number, effect: Effect.Effect<unknown, ComputeError>) => {
    const found = pending.get(id)
    pending.delete(id)
    found?.resume(effect)
  }
  const lose = (problem: string) => {
    lost ??= new EngineLost({ engine, problem })
    for (const id of pending.keys()) settle(id, Effect.fail(lost))
  }
  const exited = new Promise<void>((resolve) => {
    worker.on("exit", (code) => {
      lose(`its worker ended with code ${code}`)
      resolve()
    })
  })
  worker.on("error", (error) => lose(`its worker died: ${error instanceof Error ? error.message : String(error)}`))
  worker.on("messageerror", (error) => lose(`a message could not be read: ${error.message}`))
  worker.on("message", (message: Hello | Reply) => {
    if (!("id" in message)) {
      greeting = "numerics" in message
        ? Effect.succeed(message)
        : Effect.fail(new EngineError({ engine, operation: "start", problem: message.problem }))
      settle(start, greeting)
      return
    }
    const operation = pending.get(message.id)?.verb
    if (operation === undefined) return
    if ("answer" in message) return settle(message.id, Effect.succeed(message.answer))
    const { kind, problem } = message
    if (kind === "lost") return lose(problem)
    settle(
      message.id,
      Effect.fail(
        kind === "noRoom"
          ? new OutOfMemory({ engine, operation, problem, ...message.room })
          : new EngineError({ engine, operation, problem })
      )
    )
  })
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread, not a window
  const send = (request: Request) => worker.postMessage(request)
  return {
    hello: Effect.callback<Started, ComputeError>((resume) => {
      if (greeting !== undefined) resume(greeting)
      else if (lost !== undefined) resume(Effect.fail(lost))
      else pending.set(start, { verb: "start", resume: resume as Resume })
    }),
    ask: (session, verb, ask) =>
      Effect.callback((resume) => {
        if (lost !== undefined) return resume(Effect.fail(lost))
        const id = next++
        pending.set(id, { verb, resume: resume as Resume })
        try {
          send({ id, session, verb, ask } as Request)
        } catch (error) {
          settle(id, Effect.fail(new EngineError({ engine, operation: verb, problem: (error as Error).message })))
        }
        return Effect.sync(() => {
          if (pending.delete(id)) send({ verb: "forget", id })
        })
      }),
    tell: (session, verb) => send({ id: next++, session, verb, ask: undefined }),
    end: async (patience) => {
      send({ verb: "end" })
      const timer = setTimeout(() => void worker.terminate(), patience)
      await exited
      clearTimeout(timer)
    }
  }
}

/** The engine that a worker file serves, for as long as the scope is open. What it has to say goes to whoever listens. */
export const engineOf: (
  file: URL,
  data: WorkerData,
  options?: { readonly patience?: number }
) => Effect.Effect<Engine["Service"], ComputeError, Scope.Scope> = Effect.fnUntraced(
  function*(file, data, options = {}) {
    const connection = yield* Effect.acquireRelease(
      Effect.sync(() => connect(file, data)),
      ({ end }) => Effect.promise(() => end(options.patience ?? patience))
    )
    const { notices, numerics } = yield* connection.hello
    const progress = yield* Effect.serviceOption(Progress)
    if (Option.isSome(progress)) {
      for (const message of notices) {
        yield* progress.value.emit({ _tag: "Warning", label: `engine ${numerics.engine}`, message })
      }
    }
    let sessions = 0
    return Engine.of({
      numerics,
      open: Effect.fnUntraced(function*(model, options = {}) {
        const { precision } = options
        if (precision === "bfloat16" && !inBfloat16.has(numerics.engine)) {
          return yield* new EngineError({
            engine: numerics.engine,
            operation: "open",
            problem: `it does not compute in bfloat16: use --engine ${
              [...inBfloat16].join(" or ")
            }, or precision float32 in the recipe`
          })
        }
        const id = sessions++
        yield* Effect.addFinalizer(() => Effect.sync(() => connection.tell(id, "close")))
        const { device, fused } = yield* connection.ask(id, "open", { model, options })
        const session: Session = {
          score: (batch) => connection.ask(id, "score", batch),
          forward: (batch, options) => connection.ask(id, "forward", { batch, options }),
          backward: (coefficients) => connection.ask(id, "backward", coefficients),
          generate: (prompts, options) => connection.ask(id, "generate", { prompts, options }),
          update: (update) => connection.ask(id, "update", update),
          weights: connection.ask(id, "weights", undefined),
          optimiser: connection.ask(id, "optimiser", undefined),
          gradients: connection.ask(id, "gradients", undefined),
          zeroGradients: connection.ask(id, "zeroGradients", undefined)
        }
        return {
          ...session,
          ...(device ? { device: connection.ask(id, "device", undefined) } : {}),
          ...(fused
            ? {
              fused: (batch: Batch, inputs: FusedInputs, options?: RunOptions) =>
                connection.ask(id, "fused", { batch, inputs, options })
            }
            : {})
        }
      })
    })
  }
)
