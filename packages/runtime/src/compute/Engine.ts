// What training, scoring and evaluation ask of an engine, on the main thread. The engine itself lives in one worker.
// Leaves out losses: an engine knows token log-probabilities, their gradients and AdamW; objectives are data or plain functions.
import type { ComputeError } from "@penchant/dsl/Errors"
import type { Node } from "@penchant/dsl/Formula"
import type { Lora, Precision } from "@penchant/dsl/Recipe"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { GenerateOptions, Prompt, Sample } from "../generation/Generation.ts"
import type { Batch } from "./Batch.ts"

/** Enters both keys of every step that computes on an engine; a change there is the reason `EnvChanged`. */
export interface Numerics {
  readonly engine: string
  readonly version: string
  readonly compute: "float32" | "float64"
  readonly loss: "host" | "fused"
  readonly determinism: "bitwise" | "seeded"
  /** Group counts that one run of the engine takes, ascending; empty means any. Identity, since it orders float sums. */
  readonly groups: ReadonlyArray<number>
}

/** A model as the engines take it: the parsed Hugging Face config, and one flat vector with a name and shape per tensor. */
export interface ModelState {
  readonly config: unknown
  readonly names: ReadonlyArray<string>
  readonly shapes: ReadonlyArray<ReadonlyArray<number>>
  /** Tensors end to end in the order of `names`, float32 unless the engine computes in float64. */
  readonly parameters: Float32Array | Float64Array
  /** Of the tensors the first so many stay as they are: the others alone have gradients and moments. 0 when absent. */
  readonly frozen?: number
  /** Adapters, whose tensors are among the others. */
  readonly adapter?: Lora
}

/** Adam's moments of the tensors that are trained, in the order of `parameters`, and the number of updates made. */
export interface OptimiserState {
  readonly m: Float32Array | Float64Array
  readonly v: Float32Array | Float64Array
  readonly updates: number
}

/** One update: clip by global norm once, then decoupled AdamW (norms and biases exempt from decay). */
export interface Update {
  readonly learningRate: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly weightDecay: number
  /** grads *= min(1, maxGradNorm / (norm + 1e-6)); 0 switches clipping off. */
  readonly maxGradNorm: number
}

/** A loss that runs inside the engine: the simplified formula and its parameters' values. */
export interface FusedLoss {
  readonly formula: Node
  readonly parameters: Readonly<Record<string, number>>
  /** Which side each branch of a batch is, in branch order. */
  readonly sides: ReadonlyArray<string>
}

/** What a fused step needs beside the batch: reference log-probabilities [N], data columns [groups], 1 / pairs of the optimiser step. */
export interface FusedInputs {
  readonly reference?: Float64Array
  readonly columns: Readonly<Record<string, Float64Array>>
  readonly scale: number
}

/** Policy, never identity: the numbers are the same on an engine whose class is bitwise. */
export interface RunOptions {
  /** Keep only the input of each block, and compute the rest of it again on the way back. Engines without it ignore it. */
  readonly recompute?: boolean
}

/** What a session is opened with, beside its model. */
export interface OpenOptions {
  readonly optimiser?: OptimiserState
  readonly fused?: FusedLoss
  /** Of activations and working weights; absent is the engine's own (`Numerics.compute`). */
  readonly precision?: Precision
  /**
   * Weights are kept in bfloat16 alone, without float32 masters, and every update rounds them up or down at random: the seed of
   * that stream. Only with precision bfloat16.
   */
  readonly roundingSeed?: number
}

/** A device as it stands, in bytes. */
export interface DeviceState {
  readonly name: string
  readonly kind: "cpu" | "cuda"
  readonly totalBytes: number
  /** What a run could still get, memory that the engine holds in reserve included. */
  readonly freeBytes: number
  /** Most that the engine's tensors took at once since the session was opened. */
  readonly peakBytes: number
  readonly liveTensors: number
}

export interface Session {
  /** Token log-probabilities [N] of the batch, nothing kept. */
  readonly score: (batch: Batch) => Effect.Effect<Float64Array, ComputeError>
  /** The same, keeping what the next `backward` needs. */
  readonly forward: (batch: Batch, options?: RunOptions) => Effect.Effect<Float64Array, ComputeError>
  /** Adds the gradients of sum_n coefficients[n] * logProb[n] for the batch of the last `forward`. */
  readonly backward: (coefficients: Float64Array) => Effect.Effect<void, ComputeError>
  /** Forward, loss, backward in one run, adding gradients; present when a fused loss was given and the engine has it. */
  readonly fused?: (
    batch: Batch,
    inputs: FusedInputs,
    options?: RunOptions
  ) => Effect.Effect<Float64Array, ComputeError>
  /** Samples of each prompt, `options.samples` in a row, all in one batch. */
  readonly generate: (
    prompts: ReadonlyArray<Prompt>,
    options: GenerateOptions
  ) => Effect.Effect<ReadonlyArray<Sample>, ComputeError>
  /** Clips, updates, zeroes the gradients. Returns the norm before clipping. */
  readonly update: (
    update: Update
  ) => Effect.Effect<{ readonly gradNorm: number; readonly clipped: boolean }, ComputeError>
  /** Copies of the weights, and of the optimiser's state. */
  readonly weights: Effect.Effect<ModelState, ComputeError>
  readonly optimiser: Effect.Effect<OptimiserState, ComputeError>
  /** Accumulated gradients of the tensors that are trained, flat, for tests and checks. */
  readonly gradients: Effect.Effect<Float32Array | Float64Array, ComputeError>
  /** Drops the gradients summed since the last update, and what a `forward` kept: an optimiser step starts anew. */
  readonly zeroGradients: Effect.Effect<void, ComputeError>
  /** Present on devices with memory of their own. */
  readonly device?: Effect.Effect<DeviceState, ComputeError>
}

export class Engine extends Context.Service<Engine, {
  readonly numerics: Numerics
  /**
   * Loads a model; closing the scope frees it. With `fused`, `Session.fused` is present if the engine has it. A precision other
   * than what the engine computes in anyway fails where it has none.
   */
  readonly open: (
    model: ModelState,
    options?: OpenOptions
  ) => Effect.Effect<Session, ComputeError, Scope.Scope>
}>()("@penchant/runtime/Engine") {}
