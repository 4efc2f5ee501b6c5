// What an engine implements inside its worker: plain asynchronous functions over typed arrays, no Effect.
// The worker host (worker.ts) serves these by messages; Engine.ts is the same protocol seen from the main thread.
// Errors are thrown: the host turns an exception into `EngineError`, `NoRoom` into `OutOfMemory`, `DeviceLost` and a dead
// worker into `EngineLost`.
import type { GenerateOptions, Prompt, Sample } from "../generation/Generation.ts"
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

/** Policy, never identity: where and how fast, not what. Each engine reads what it knows and ignores the rest. */
export interface EngineOptions {
  /** Threads inside one operation; the engine's own choice when absent. */
  readonly threads?: number
  /** "cpu", "cuda:0", ... where an engine has more than one. */
  readonly device?: string
  /** Compute without kernels of our own, by the operators that the library brings. */
  readonly kernels?: "none"
  /** The state directory, where an engine may keep what it takes time to make; deleting that costs time only. */
  readonly home?: string
  /** Which library an engine runs on, where it has a choice; part of its version, hence of identity. */
  readonly backend?: string | undefined
}

/** Bytes, where an engine knows them. */
export interface Room {
  readonly askedBytes?: number
  readonly freeBytes?: number
  readonly totalBytes?: number
}

/**
 * Thrown when the device has no room. Everything that the failed run made must be freed by then, so that the session can
 * score, or start its gradients anew (`zeroGradients`), at once.
 */
export class NoRoom extends Error {
  readonly room: Room
  constructor(problem: string, room: Room = {}) {
    super(problem)
    this.room = room
  }
}

/** Thrown when the device is gone for good (a sticky CUDA error, say): nothing of the engine can be used any more. */
export class DeviceLost extends Error {}

/**
 * One loaded model. Calls come one at a time, each after the last one settled. Every array that is returned belongs to
 * the caller (its buffer is transferred to the main thread): never a view into memory that the engine goes on using.
 */
export interface BackendSession {
  /** Token log-probabilities [N], nothing kept. */
  readonly score: (batch: Batch) => Promise<Float64Array>
  /** The same, keeping what `backward` needs until it, or the next `forward`, comes. */
  readonly forward: (batch: Batch, options?: RunOptions) => Promise<Float64Array>
  /** Adds the gradients of sum_n coefficients[n] * logProb[n]; throws without a `forward` before it. */
  readonly backward: (coefficients: Float64Array) => Promise<void>
  /** Forward, loss and backward in one run, adding gradients; present only when `open` was given a loss that the engine can fuse. */
  readonly fused?: (batch: Batch, inputs: FusedInputs, options?: RunOptions) => Promise<Float64Array>
  /**
   * Samples of each prompt, `options.samples` in a row, all in one batch. An engine gives a `Decoder` and leaves the rest to
   * generation/generate.ts.
   */
  readonly generate: (prompts: ReadonlyArray<Prompt>, options: GenerateOptions) => Promise<ReadonlyArray<Sample>>
  /** Clips once, AdamW, zeroes the gradients. See optimiser.ts for the formula. */
  readonly update: (update: Update) => Promise<{ readonly gradNorm: number; readonly clipped: boolean }>
  readonly weights: () => Promise<ModelState>
  readonly optimiser: () => Promise<OptimiserState>
  /** Accumulated gradients of the tensors that are trained, flat, in the order of `ModelState.parameters`. */
  readonly gradients: () => Promise<Float32Array | Float64Array>
  /** Drops the gradients summed since the last update, and what a `forward` kept. */
  readonly zeroGradients: () => Promise<void>
  /** Of a device whose memory is not the process's own; absent on others. */
  readonly device?: () => Promise<DeviceState>
  readonly close: () => Promise<void>
}

export interface Backend {
  readonly numerics: Numerics
  /** What a person should know of how it started, such as a slower way that it takes and why. */
  readonly notices?: ReadonlyArray<string>
  readonly open: (model: ModelState, options: OpenOptions) => Promise<BackendSession>
  /** After every session is closed. */
  readonly close: () => Promise<void>
}

/** What an engine's `backend.ts` exports. */
export interface BackendModule {
  readonly start: (options: EngineOptions) => Promise<Backend>
}
