// How the runtime runs one kind of step: what passes between the executor and an implementation.
import type { ModelError } from "@penchant/dsl/Errors"
import type { AnyStep, Policy } from "@penchant/dsl/Step"
import type * as Effect from "effect/Effect"
import type { Engine } from "../compute/Engine.ts"
import type { Progress } from "../platform/Progress.ts"
import type { Speed } from "../training/speed.ts"

/** A finished input, readable. */
export interface Input {
  readonly digest: string
  readonly kind: string
  readonly meta: unknown
  /** Name -> absolute path of a read-only blob. */
  readonly files: Readonly<Record<string, string>>
}

/** What an implementation leaves: files by name (relative, with `/`), as bytes or as a path inside `scratch`. */
export interface Output {
  readonly kind: string
  readonly meta: object
  readonly files: Readonly<Record<string, Uint8Array | { readonly path: string }>>
  /** How fast it was made and what that took: kept in the ledger beside the result, never in it. */
  readonly speed?: Speed
}

export interface Job {
  readonly step: AnyStep
  /** The step's own, with the run's overrides. */
  readonly policy: Policy
  /** For messages and progress. */
  readonly label: string
  readonly inputs: Readonly<Record<string, Input>>
  /** Survives attempts and crashes, removed when the step commits: where checkpoints live. */
  readonly scratch: string
  /** Outlives steps: for what is kept under its own content, such as verdicts that were paid for. */
  readonly shared: string
  /** What a checkpoint belongs to: the step's action key and its components. */
  readonly actionKey: string
  readonly identity: Readonly<Record<string, string>>
}

/** Where a step stands that is checked before anything runs. */
export interface Around {
  /** For messages. */
  readonly label: string
  /** What relative paths are relative to. */
  readonly directory: string
  /** What several steps ask is looked up once, by its key. */
  readonly once: <A, E, R>(key: string, look: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** Fails with why a step cannot run; what may go wrong is a warning. */
export type Check = (step: AnyStep, around: Around) => Effect.Effect<void, ModelError, Progress>

export interface Implementation {
  /** Runs on the engine: its numerics are part of both keys, and it takes the engine's one permit. */
  readonly computes: boolean
  /** What else outside this process its numbers depend on: part of both keys, as an engine's numerics are. */
  readonly outside?: () => Readonly<Record<string, string>> | undefined
  /** What can be known before anything runs: asked of steps that are not in the store. */
  readonly check?: Check
  readonly run: (
    job: Job
  ) => Effect.Effect<Output, { readonly _tag: string; readonly message: string }, Engine | Progress>
}
