// Everything that keys depend on and that is not in the pipeline: code, engine, files. Gathered once, so that a plan and the
// run that follows it are about the same thing.
import type { ComputeError, StoreError } from "@penchant/dsl/Errors"
import type { AnyStep } from "@penchant/dsl/Step"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as path from "node:path"
import type { Numerics } from "../compute/Engine.ts"
import { PipelineFile } from "../platform/PipelineFile.ts"
import { type Code, type CodeFiles, installation, moduleCode, packagesCode } from "./code.ts"
import { type Facts, type Graph, graph, type Node, outsideOf, stepsOf, type Target } from "./graph.ts"
import type { Home } from "./Home.ts"
import { numericsIdentity } from "./keys.ts"
import { type Label, labelsOf } from "./labels.ts"
import { readSources } from "./sources.ts"

export interface FactsOptions {
  /** Which steps run on the engine. */
  readonly computes: (step: AnyStep) => boolean
  /** What else a step depends on outside this process. */
  readonly outside?: (step: AnyStep) => Readonly<Record<string, unknown>> | undefined
  /** Asked for only when the graph has such a step. */
  readonly numerics: Effect.Effect<Numerics, ComputeError>
  /** What relative paths are relative to. */
  readonly directory?: string
  /** Another code than this installation's, for tests. */
  readonly code?: CodeFiles
}

export interface Labelled {
  readonly graph: Graph
  readonly labels: ReadonlyMap<string, Label>
  readonly code: Code
}

export interface Planning {
  /** Of this installation; looked at once. */
  readonly code: Effect.Effect<Code, StoreError>
  readonly graphOf: (targets: ReadonlyArray<Target>) => Effect.Effect<Labelled, StoreError | ComputeError>
}

/** Files are read once for the life of this value; those that could not be read are tried again. */
export const planning = Effect.fnUntraced(function*({ directory: state, ledger }: Home, options: FactsOptions) {
  const above = path.dirname(state)
  const directory = options.directory ?? process.cwd()
  const code = yield* Effect.cached(Effect.suspend(() => packagesCode(ledger, options.code ?? installation())))
  const numerics = yield* Effect.cached(Effect.map(options.numerics, numericsIdentity))
  const sources = new Map<string, Facts["sources"] extends ReadonlyMap<string, infer S> ? S : never>()
  const modules = new Map<string, Code>()
  const known = new WeakMap<AnyStep, Node>()

  const graphOf: Planning["graphOf"] = Effect.fnUntraced(function*(targets) {
    const file = yield* PipelineFile
    const steps = stepsOf(targets.map(({ step }) => step))
    const outside = outsideOf(steps, directory)
    const unread = outside.paths.filter((at) => {
      const found = sources.get(at)
      return found === undefined || Result.isFailure(found)
    })
    if (unread.length > 0) { for (const [at, source] of yield* readSources(ledger, unread)) sources.set(at, source) }
    for (const url of outside.modules) if (!modules.has(url)) modules.set(url, yield* moduleCode(ledger, url))
    const packages = yield* code
    const made = graph(steps, {
      code: packages,
      modules,
      numerics: steps.some(options.computes) ? yield* numerics : undefined,
      sources,
      computes: options.computes,
      outside: options.outside ?? (() => undefined),
      directory
    }, known)
    return {
      graph: made,
      labels: labelsOf(made, targets, file === undefined ? "" : path.relative(above, path.resolve(directory, file))),
      code: packages
    }
  })
  return { code, graphOf } satisfies Planning
})
