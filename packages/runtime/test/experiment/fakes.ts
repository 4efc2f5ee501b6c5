// A home in a temporary directory, and implementations that do next to nothing and write down that they ran.
import type { Kind } from "@penchant/dsl/Artifact"
import { sha256 } from "@penchant/dsl/Identity"
import { type AnyStep, type BuiltinKind, type Definition, make, type Step } from "@penchant/dsl/Step"
import { Engine, type Numerics } from "@penchant/runtime/compute/Engine"
import { Experiment, type ExperimentOptions, layer } from "@penchant/runtime/experiment/Experiment"
import { CurrentHome } from "@penchant/runtime/experiment/Home"
import { type Event, Progress } from "@penchant/runtime/platform/Progress"
import type { Implementation, Job, Output } from "@penchant/runtime/steps/Implementation"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

export const temporary = (): string => fs.mkdtempSync(path.join(os.tmpdir(), "penchant-experiment-"))

/** A temporary directory for the length of an effect. */
export const withDirectory = <A, E, R>(f: (directory: string) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(temporary),
    f,
    (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
  )

export type Behave = (
  job: Job
) => Effect.Effect<Output, { readonly _tag: string; readonly message: string }, Engine | Progress>

/** What the fake does unless told otherwise: a file and a number that depend on parameters and inputs alone. */
export const plain: Behave = ({ inputs, step }) =>
  Effect.sync(() => {
    const digest = sha256(
      JSON.stringify([step.kind, step.parameters, Object.entries(inputs).map(([name, input]) => [name, input.digest])])
    )
    return {
      kind: step.kind,
      meta: { value: Number.parseInt(digest.slice(0, 6), 16) },
      files: { "content.txt": Buffer.from(digest) }
    }
  })

/** `step("rows", { n: 1 }, inputs)`; `behave` replaces what the fake does. */
export const step = (
  kind: BuiltinKind,
  parameters: unknown = {},
  inputs: Definition["inputs"] = {},
  rest: Omit<Definition, "kind" | "parameters" | "inputs"> & { readonly behave?: Behave } = {}
): Step<Kind> => {
  const { behave, ...definition } = rest
  return make({ kind, parameters, inputs, ...definition, attached: behave === undefined ? undefined : { behave } })
}

export const numerics: Numerics = {
  engine: "fake",
  version: "1",
  compute: "float64",
  loss: "host",
  determinism: "bitwise",
  groups: [1, 2, 4]
}

export interface Recorder {
  /** Labels in the order in which implementations were entered. */
  readonly ran: Array<string>
  readonly events: Array<Event>
  engines: number
}
export const recorder = (): Recorder => ({ ran: [], events: [], engines: 0 })

const behaviourOf = ({ attached }: Job["step"]): Behave =>
  typeof attached === "object" && attached !== null && "behave" in attached ? attached.behave as Behave : plain

const kinds = [
  "rows",
  "pairs",
  "split",
  "model",
  "tokenise",
  "score",
  "train",
  "extend",
  "snapshot",
  "metric",
  "scores",
  "trajectory"
] as const satisfies ReadonlyArray<BuiltinKind>

export const implementations = (record: Recorder): ExperimentOptions["implementations"] =>
  Object.fromEntries(kinds.map((kind) => {
    const implementation: Implementation = {
      computes: kind === "score" || kind === "train" || kind === "extend",
      run: (job) =>
        Effect.suspend(() => {
          record.ran.push(job.label)
          return behaviourOf(job.step)(job)
        })
    }
    return [kind, implementation]
  })) as ExperimentOptions["implementations"]

export const engine = (record: Recorder, said: Numerics = numerics) =>
  Layer.effect(
    Engine,
    Effect.sync(() => {
      record.engines++
      return Engine.of({ numerics: said, open: () => Effect.die(new Error("the fake engine opens nothing")) })
    })
  )

/** An experiment on a home directory; every call is a process of its own as far as memory goes. */
export const experiment = (home: string, record: Recorder, options: Partial<ExperimentOptions> = {}) =>
  layer({
    implementations: implementations(record),
    engine: engine(record),
    numerics,
    code: { roots: [], files: {} },
    poll: 20,
    ...options
  }).pipe(
    Layer.provideMerge(CurrentHome.layer(home)),
    Layer.provideMerge(
      Layer.succeed(Progress, Progress.of({ emit: (event) => Effect.sync(() => void record.events.push(event)) }))
    )
  )

/** Runs targets by label in a fresh process, so to speak, and says what ran. */
export const runIn = (
  home: string,
  targets: Readonly<Record<string, AnyStep>>,
  options: Partial<ExperimentOptions> = {}
) =>
  Effect.suspend(() => {
    const record = recorder()
    return Experiment.use(({ run }) => run(Object.entries(targets).map(([label, step]) => ({ label, step })))).pipe(
      Effect.map((report) => ({
        report,
        ran: record.ran.toSorted(),
        events: record.events,
        engines: record.engines,
        digests: Object.fromEntries(report.outcomes.map(({ artifact, label }) => [label, artifact?.digest])),
        status: Object.fromEntries(report.outcomes.map(({ label, status }) => [label, status]))
      })),
      Effect.provide(experiment(home, record, options))
    )
  })

export const planIn = (
  home: string,
  targets: Readonly<Record<string, AnyStep>>,
  options: Partial<ExperimentOptions> = {}
) =>
  Effect.suspend(() =>
    Experiment.use(({ plan }) => plan(Object.entries(targets).map(([label, step]) => ({ label, step })))).pipe(
      Effect.map(({ nodes }) => new Map(nodes.map((node) => [node.label, node]))),
      Effect.provide(experiment(home, recorder(), options))
    )
  )
