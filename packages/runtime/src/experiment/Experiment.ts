// Runs experiment graphs on this machine: fibers, one piece of work per key, one permit for the engine, leases between
// processes. What is done stays done: when a step fails, everything that does not need it goes on.
import type { ComputeError, StoreError } from "@penchant/dsl/Errors"
import { type AnyStep, type BuiltinKind, Executor, type Policy } from "@penchant/dsl/Step"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import * as os from "node:os"
import type { Engine, Numerics } from "../compute/Engine.ts"
import { type Event, Progress } from "../platform/Progress.ts"
import type { Implementation } from "../steps/Implementation.ts"
import { checker } from "./check.ts"
import type { Code } from "./code.ts"
import { customStep } from "./custom.ts"
import { type FactsOptions, type Labelled, planning } from "./facts.ts"
import type { Target } from "./graph.ts"
import { history, type Outcome } from "./history.ts"
import { CurrentHome } from "./Home.ts"
import type { Label } from "./labels.ts"
import { lazyEngine } from "./lazyEngine.ts"
import { beat, pulse } from "./leases.ts"
import { type Plan, planOf } from "./Plan.ts"
import type { Failure, Session } from "./session.ts"
import { sweep } from "./sweep.ts"
import { walker } from "./walk.ts"

export interface Report {
  /** Every node of the targets' graph, inputs first. */
  readonly outcomes: ReadonlyArray<Outcome>
  /** That of a step which the targets reach; undefined when the run did not come to it. */
  readonly outcomeOf: (step: AnyStep) => Outcome | undefined
  /** The first step that failed, in time. */
  readonly failure: Failure | undefined
}

export class Experiment extends Context.Service<Experiment, {
  /** What `run` would do; nothing runs. */
  readonly plan: (targets: ReadonlyArray<Target>) => Effect.Effect<Plan, StoreError | ComputeError>
  /** Makes the targets. A step that fails is in the report, not an error here, and keeps only its dependants from running. */
  readonly run: (targets: ReadonlyArray<Target>) => Effect.Effect<Report, StoreError | ComputeError>
  /** Every node that this process came across, also by a program that yields steps one by one. */
  readonly outcomes: Effect.Effect<ReadonlyArray<Outcome>>
  /** The code part of every key. */
  readonly code: Effect.Effect<Code, StoreError>
}>()("@penchant/runtime/Experiment") {}

export interface ExperimentOptions extends Pick<FactsOptions, "directory" | "code"> {
  readonly implementations: Readonly<Record<BuiltinKind, Implementation>>
  readonly engine: Layer.Layer<Engine, ComputeError>
  /** The engine's numerics, where they are known without starting it: then a run of hits never starts it. */
  readonly numerics?: Numerics
  /** Overrides the policy of every step. */
  readonly policy?: Policy
  /** How many steps that do not compute may run at once; by default one per core. */
  readonly concurrency?: number
  /** Milliseconds between two looks at a step that another process runs. */
  readonly poll?: number
}

/** Labels of a program's steps are their titles; two that share one are told apart by their keys. */
const namedApart = (labels: ReadonlyMap<string, Label>, known: Map<string, Label>, taken: Map<string, string>) =>
  new Map([...labels].map(([planKey, names]) => {
    const before = known.get(planKey)
    if (before !== undefined) return [planKey, before]
    const owner = taken.get(names.label)
    const label = owner === undefined || owner === planKey ? names.label : `${names.label} ${planKey.slice(0, 8)}`
    return [planKey, { ...names, label }]
  }))

const make = Effect.fnUntraced(function*(options: ExperimentOptions) {
  const home = yield* CurrentHome
  const listener = yield* Progress
  const scope = yield* Effect.scope
  const engine = yield* lazyEngine(options.engine, options.numerics)
  const implementations: Readonly<Record<string, Implementation>> = options.implementations
  const own = customStep(home.store)
  const implementationOf = ({ code, kind }: AnyStep): Implementation | undefined =>
    code._tag === "Module" ? own : Object.hasOwn(implementations, kind) ? implementations[kind] : undefined
  const facts = yield* planning(home, {
    ...options,
    computes: (step) => implementationOf(step)?.computes === true,
    outside: (step) => implementationOf(step)?.outside?.(),
    numerics: engine.numerics
  })

  const newChecker = () => checker(implementationOf, options.directory ?? process.cwd())

  let code: Code | undefined
  const record = history(home.ledger, () => code)
  yield* Effect.addFinalizer(() => record.flush)
  const progress = Progress.of({
    emit: (event: Event) =>
      event._tag === "Warning" || event._tag === "StepFailed"
        ? Effect.andThen(record.event(event._tag, event.label, event.message), listener.emit(event))
        : listener.emit(event)
  })

  const leases = new Set<number>()
  const heart = Effect.suspend(() =>
    leases.size === 0
      ? Effect.void
      : Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.ignore(home.ledger.write((rows) => beat(rows, [...leases], now), "noted")))
  )
  yield* Effect.forkScoped(Effect.repeat(heart, Schedule.spaced(pulse)))

  const walk = walker({
    home,
    engine,
    progress,
    record,
    leases,
    scope,
    implementationOf,
    computing: yield* Semaphore.make(1),
    other: yield* Semaphore.make(options.concurrency ?? os.availableParallelism()),
    poll: options.poll ?? 200,
    policy: options.policy ?? {}
  })

  const known = new Map<string, Label>()
  const taken = new Map<string, string>()
  const remember = (labels: ReadonlyMap<string, Label>): void => {
    for (const [planKey, names] of labels) {
      known.set(planKey, names)
      taken.set(names.label, planKey)
    }
  }

  const begin = Effect.fnUntraced(
    function*(targets: ReadonlyArray<Target>, labelsOf: (labelled: Labelled) => Labelled["labels"]) {
      const labelled = yield* facts.graphOf(targets)
      const labels = labelsOf(labelled)
      remember(labels)
      code = labelled.code
      const session: Session = { ...labelled, labels, failed: new Map(), first: undefined }
      yield* walk.hits(session)
      yield* walk.checks(session, newChecker())
      return session
    }
  )

  const run = Effect.fnUntraced(function*(targets: ReadonlyArray<Target>) {
    const session = yield* begin(targets, ({ labels }) => labels)
    yield* Effect.forEach(
      targets,
      ({ step }) => Effect.exit(walk.finish(session, session.graph.of(step))),
      { concurrency: "unbounded", discard: true }
    ).pipe(Effect.ensuring(record.flush))
    const outcomes = session.graph.nodes.flatMap(({ planKey }) => record.outcomes.get(planKey) ?? [])
    const { graph } = session
    const outcomeOf = (step: AnyStep): Outcome | undefined =>
      graph.has(step) ? record.outcomes.get(graph.of(step).planKey) : undefined
    // Tidiness: whether it succeeds decides nothing.
    if (outcomes.some(({ status }) => status === "ran")) yield* Effect.ignore(sweep(home))
    return { outcomes, outcomeOf, failure: session.first } satisfies Report
  })

  const runOne = Effect.fnUntraced(function*(step: AnyStep) {
    const session = yield* begin(
      [{ label: step.title, step }],
      ({ labels }) => namedApart(labels, known, taken)
    )
    const exit = yield* Effect.exit(walk.finish(session, session.graph.of(step)))
    if (Exit.isSuccess(exit)) return { digest: exit.value.digest, meta: exit.value.meta }
    return yield* Effect.failCause(session.first === undefined ? exit.cause : session.first.cause)
  })

  const experiment = Experiment.of({
    plan: (targets) => Effect.flatMap(facts.graphOf(targets), (labelled) => planOf(home, labelled, newChecker())),
    run,
    outcomes: Effect.sync(() => [...record.outcomes.values()]),
    code: facts.code
  })
  // What a step can fail with is in its type; here it is any error.
  const executor = Executor.of({ run: runOne as unknown as Executor["Service"]["run"] })
  return Context.make(Experiment, experiment).pipe(Context.add(Executor, executor))
})

/** The executor of this machine, for programs (`Executor`) and for the command line (`Experiment`). */
export const layer = (
  options: ExperimentOptions
): Layer.Layer<Experiment | Executor, StoreError | ComputeError, CurrentHome | Progress> =>
  Layer.effectContext(make(options))

/** The cause of the first failure as an error of the run. */
export const orFail = (report: Report): Effect.Effect<Report, unknown> =>
  report.failure === undefined ? Effect.succeed(report) : Effect.failCause(report.failure.cause as Cause.Cause<unknown>)
