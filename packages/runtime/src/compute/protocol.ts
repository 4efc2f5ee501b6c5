// What passes between the main thread and an engine's worker: requests and replies by id, in the order they were sent.
// Sessions are numbered by the main thread, so that one can be closed before its opening was answered.
import type { GenerateOptions, Prompt, Sample } from "../generation/Generation.ts"
import type { BackendSession, EngineOptions, Room } from "./Backend.ts"
import type { Batch } from "./Batch.ts"
import type {
  DeviceState,
  FusedInputs,
  ModelState,
  Numerics,
  OpenOptions,
  OptimiserState,
  RunOptions,
  Update
} from "./Engine.ts"

/** What each verb asks and answers. */
export interface Verbs {
  readonly open: {
    readonly ask: { readonly model: ModelState; readonly options: OpenOptions }
    /** What the session has of the optional verbs. */
    readonly answer: { readonly fused: boolean; readonly device: boolean }
  }
  readonly score: { readonly ask: Batch; readonly answer: Float64Array }
  readonly forward: {
    readonly ask: { readonly batch: Batch; readonly options: RunOptions | undefined }
    readonly answer: Float64Array
  }
  readonly backward: { readonly ask: Float64Array; readonly answer: void }
  readonly fused: {
    readonly ask: { readonly batch: Batch; readonly inputs: FusedInputs; readonly options: RunOptions | undefined }
    readonly answer: Float64Array
  }
  readonly generate: {
    readonly ask: { readonly prompts: ReadonlyArray<Prompt>; readonly options: GenerateOptions }
    readonly answer: ReadonlyArray<Sample>
  }
  readonly update: { readonly ask: Update; readonly answer: Awaited<ReturnType<BackendSession["update"]>> }
  readonly weights: { readonly ask: undefined; readonly answer: ModelState }
  readonly optimiser: { readonly ask: undefined; readonly answer: OptimiserState }
  readonly gradients: { readonly ask: undefined; readonly answer: Float32Array | Float64Array }
  readonly zeroGradients: { readonly ask: undefined; readonly answer: void }
  readonly device: { readonly ask: undefined; readonly answer: DeviceState }
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
  | { readonly id: number; readonly problem: string; readonly kind: "failed" }
  | { readonly id: number; readonly problem: string; readonly kind: "noRoom"; readonly room: Room }
  /** The engine is of no use any more. */
  | { readonly id: number; readonly problem: string; readonly kind: "lost" }

/** The worker's first message, when its engine is up (or is not). */
export type Hello = { readonly numerics: Numerics; readonly notices: ReadonlyArray<string> } | {
  readonly problem: string
}

export interface WorkerData {
  readonly engine: string
  readonly options: EngineOptions
}
