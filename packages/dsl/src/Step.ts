// The node of an experiment graph: an inert description of work that is also an Effect of its artifact.
// Building a step runs nothing. Leaves out where and how it runs: the Executor decides.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type { Artifact, Kind } from "./Artifact.ts"
import type { StepTimeout, StoreError } from "./Errors.ts"

/** Every kind that ships; the runtime has one implementation for each, or does not compile. */
export type BuiltinKind =
  | "rows"
  | "pairs"
  | "split"
  | "mix"
  | "dedupe"
  | "decontaminate"
  | "noise"
  | "model"
  | "tokenise"
  | "score"
  | "train"
  | "extend"
  | "snapshot"
  | "metric"
  | "generate"
  | "divergence"
  | "judgedByEndpoint"
  | "judgedByModel"
  | "contamination"
  | "benchmark"
  | "mathEquivalence"
  | "benchmarkGroup"
  | "scores"
  | "trajectory"

/** How a step runs; never what it computes. In no key. */
export interface Policy {
  /** Attempts after the first that failed. */
  readonly retries?: number
  /** Seconds after which an attempt is given up. */
  readonly timeout?: number
  /** Write a checkpoint after this many optimiser steps (default 50) ... */
  readonly checkpointEvery?: number
  /** ... or after this many seconds (default 60), whichever comes first. */
  readonly checkpointSeconds?: number
}

/** Where the code of a step is: a row of the runtime's table, or an export of the user's module. */
export type Code =
  | { readonly _tag: "Builtin" }
  | { readonly _tag: "Module"; readonly url: string; readonly name: string; readonly epoch: number }

export interface AnyStep {
  readonly kind: string
  /** Plain data that identifies the work together with inputs, sources and code. */
  readonly parameters: unknown
  /** Files or folders outside the store: their content is identity, their path is not. */
  readonly sources: Readonly<Record<string, string>>
  readonly inputs: Readonly<Record<string, AnyStep>>
  readonly code: Code
  readonly policy: Policy
  /** A few words for people, such as `train dpo`. Not identity. */
  readonly title: string
  /** Values that the implementation needs and that data cannot say: a row schema, a custom objective's functions. */
  readonly attached: unknown
}

/** A node that yields an artifact of kind `K` or fails with `E`. It can be an input of another; a mapped Effect cannot. */
export interface Step<out K extends Kind, out E = never>
  extends AnyStep, Effect.Effect<Artifact<K>, E | StoreError, Executor>
{}

/** Runs steps. Equal keys run once. */
export class Executor extends Context.Service<Executor, {
  readonly run: <K extends Kind, E>(step: Step<K, E>) => Effect.Effect<Artifact<K>, E | StoreError>
}>()("@penchant/dsl/Executor") {}

export interface Definition {
  readonly kind: string
  readonly parameters?: unknown
  readonly sources?: Readonly<Record<string, string>>
  /** Undefined inputs are left out. */
  readonly inputs?: Readonly<Record<string, AnyStep | undefined>>
  readonly code?: Code
  readonly policy?: Policy
  readonly title?: string
  readonly attached?: unknown
}

const builtin: Code = { _tag: "Builtin" }

/** Builds a node. The words of the language are typed wrappers of this; a pipeline never calls it. */
export const make = <K extends Kind, E>(definition: Definition): Step<K, E> => {
  const inputs: Record<string, AnyStep> = {}
  for (const [name, input] of Object.entries(definition.inputs ?? {})) if (input !== undefined) inputs[name] = input
  const self: Step<K, E> = {
    ...Effectable.Prototype<Step<K, E>>({
      label: definition.kind,
      evaluate: () => Executor.use((executor) => executor.run(self))
    }),
    kind: definition.kind,
    parameters: definition.parameters ?? {},
    sources: definition.sources ?? {},
    inputs,
    code: definition.code ?? builtin,
    policy: definition.policy ?? {},
    title: definition.title ?? definition.kind,
    attached: definition.attached
  } as Step<K, E>
  return self
}

/** The same step under another policy: same key. It returns a Step, so it can still be an input; `Effect.retry` cannot. A timeout can be missed, which its type says. */
export const withPolicy = <K extends Kind, E, const P extends Policy>(
  step: Step<K, E>,
  policy: P & { readonly [X in Exclude<keyof P, keyof Policy>]: never }
): Step<K, E | (P extends { readonly timeout: number } ? StepTimeout : never)> =>
  make({ ...step, policy: { ...step.policy, ...policy } })

/** True for values that `make` built. */
export const isStep = (value: unknown): value is Step<Kind, unknown> =>
  typeof value === "object" && value !== null && "kind" in value && "inputs" in value && "sources" in value &&
  Effect.isEffect(value)
