// What passes between the main thread and an engine's worker: requests and replies by id, in the order they were sent.
// Sessions are numbered by the main thread, so that one can be closed before its opening was answered.
import type { BackendSession, EngineOptions, OpenOptions } from "./Backend.ts"
import type { Batch } from "./Batch.ts"
import type { FusedInputs, ModelState, Numerics, OptimiserState, Update } from "./Engine.ts"

/** What each verb asks and answers. */
export interface Verbs {
  readonly open: {
    readonly ask: { readonly model: ModelState; readonly options: OpenOptions }
    readonly answer: { readonly fused: boolean }
  }
  readonly score: { readonly ask: Batch; readonly answer: Float64Array }
  readonly forward: { readonly ask: Batch; readonly answer: Float64Array }
  readonly backward: { readonly ask: Float64Array; readonly answer: void }
  readonly fused: {
    readonly ask: { readonly batch: Batch; readonly inputs: FusedInputs }
    readonly answer: Float64Array
  }
  readonly update: { readonly ask: Update; readonly answer: Awaited<ReturnType<BackendSession["update"]>> }
  readonly weights: { readonly ask: undefined; readonly answer: ModelState }
  readonly optimiser: { readonly ask: undefined; readonly answer: OptimiserState }
  readonly gradients: { readonly ask: undefined; readonly answer: Float32Array | Float64Array }
  readonly close: { readonly ask: undefined; readonly answer: void }
}
export type Verb = keyof Verbs

export type Request =
  | {
    readonly [V in Verb]: {
      readonly id: number
      readonly session: number
      readonly verb: V
      readonly ask: Verbs[V]["ask"]
    }
  }[Verb]
  /** Nobody waits for this request any more: skip it if it has not begun. */
  | { readonly verb: "forget"; readonly id: number }
  /** Close every session and the engine, then end. */
  | { readonly verb: "end" }

export type Reply =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly problem: string }

/** The worker's first message, when its engine is up (or is not). */
export type Hello = { readonly numerics: Numerics } | { readonly problem: string }

export interface WorkerData {
  readonly engine: string
  readonly options: EngineOptions
}
