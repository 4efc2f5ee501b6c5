// The way through a graph: hits first, then inputs before what needs them, each step once however many ask for it.
import { StoreError } from "@penchant/dsl/Errors"
import type { AnyStep } from "@penchant/dsl/Step"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type * as Semaphore from "effect/Semaphore"
import type { Implementation } from "../steps/Implementation.ts"
import { actionOf } from "./actions.ts"
import type { Labelled } from "./facts.ts"
import type { Node } from "./graph.ts"
import type { History, Status } from "./history.ts"
import { type InputPart, withInputs } from "./keys.ts"
import { acquire } from "./leases.ts"
import { type Finished, messageOf, perform, type Surroundings } from "./perform.ts"
import { missReasons } from "./Plan.ts"
import { singleFlight } from "./singleFlight.ts"
import { sentence, type Why } from "./Why.ts"

export interface Failure {
  readonly label: string
  readonly cause: Cause.Cause<unknown>
}

/** One request: what failed stays failed for its length, and may be tried again by the next. */
export interface Session extends Labelled {
  readonly failed: Map<string, Failure>
  first: Failure | undefined
}

export interface WalkOptions extends Surroundings {
  readonly record: History
  /** Rows of attempts that this process holds now. */
  readonly leases: Set<number>
  readonly scope: Scope.Scope
  readonly implementationOf: (step: AnyStep) => Implementation | undefined
  readonly computing: Semaphore.Semaphore
  readonly other: Semaphore.Semaphore
  readonly poll: number
}

export interface Walk {
  /** Settles every node that is in the store, without a fiber for each. */
  readonly hits: (session: Session) => Effect.Effect<void, StoreError>
  readonly finish: (session: Session, node: Node) => Effect.Effect<Finished, unknown>
}

/** Carried from where a step failed to everything that needs it. */
class Stopped {
  readonly failure: Failure
  constructor(failure: Failure) {
    this.failure = failure
  }
}

const tagOf = (error: unknown): unknown =>
  typeof error === "object" && error !== null && "_tag" in error ? error._tag : undefined

interface Looked {
  readonly hit: Finished | undefined
  /** When the result that is gone was made: a later one is another process's repair. */
  readonly finished: number | undefined
  readonly gone: Why | undefined
}

export const walker = (options: WalkOptions): Walk => {
  const { home, leases, poll, progress, record } = options
  const { ledger, store } = home
  const settled = new Map<string, Finished>()
  const nodes = singleFlight<Finished, unknown>(options.scope)
  const actions = singleFlight<Finished, unknown>(options.scope)

  const labelOf = (session: Session, planKey: string) => session.labels.get(planKey)!

  const inputsOf = (session: Session, node: Node): Readonly<Record<string, InputPart>> | undefined => {
    const inputs: Record<string, InputPart> = {}
    for (const [name, { planKey }] of Object.entries(node.inputs)) {
      const input = settled.get(planKey)
      if (input === undefined) return undefined
      inputs[name] = { label: labelOf(session, planKey).label, planKey, digest: input.digest }
    }
    return inputs
  }

  const keyOf = (node: Node, inputs: Readonly<Record<string, InputPart>>): string => {
    const digests: Record<string, string> = {}
    for (const [name, { digest }] of Object.entries(inputs)) digests[name] = digest
    return withInputs(node.own.key, digests)
  }

  const report = (
    session: Session,
    node: Node,
    status: Status,
    rest: {
      readonly actionKey?: string
      readonly why?: ReadonlyArray<Why>
      readonly artifact?: Finished
      readonly problem?: string
      readonly seconds?: number
    }
  ) => {
    const names = labelOf(session, node.planKey)
    const { artifact } = rest
    return record.record({
      label: names.label,
      aliases: names.aliases,
      exported: names.exported,
      kind: node.step.kind,
      planKey: node.planKey,
      actionKey: rest.actionKey,
      status,
      why: rest.why ?? [],
      seconds: rest.seconds ?? 0,
      artifact: artifact === undefined
        ? undefined
        : { digest: artifact.digest, kind: artifact.kind, meta: artifact.meta },
      problem: rest.problem
    }, names)
  }

  /** The recorded result, if all of it is there. Damage is said, once, to whoever listens. */
  const look = Effect.fnUntraced(function*(actionKey: string, label: string) {
    const action = yield* ledger.read((rows) => actionOf(rows, actionKey))
    if (action === undefined) return { hit: undefined, finished: undefined, gone: undefined } satisfies Looked
    const condition = yield* store.check(action.output, "bytes")
    if (condition._tag === "Gone") {
      const { path, problem } = condition
      return { hit: undefined, finished: action.finished, gone: { _tag: "OutputGone", path, problem } } satisfies Looked
    }
    if (condition.repaired !== undefined) {
      yield* progress.emit({ _tag: "Warning", label, message: `${condition.repaired}; written anew from the ledger` })
    }
    const { kind, meta } = condition.manifest
    return {
      hit: { digest: action.output, kind, meta, seconds: action.seconds },
      finished: action.finished,
      gone: undefined
    } satisfies Looked
  })

  const settleHit = Effect.fnUntraced(function*(session: Session, node: Node, actionKey: string, hit: Finished) {
    settled.set(node.planKey, hit)
    yield* report(session, node, "hit", { actionKey, artifact: hit })
    yield* progress.emit({ _tag: "StepHit", label: labelOf(session, node.planKey).label, kind: node.step.kind })
    return hit
  })

  const hits: Walk["hits"] = Effect.fnUntraced(function*(session) {
    for (const node of session.graph.nodes) {
      if (node.broken || settled.has(node.planKey)) continue
      const inputs = inputsOf(session, node)
      if (inputs === undefined) continue
      const actionKey = keyOf(node, inputs)
      const { hit } = yield* look(actionKey, labelOf(session, node.planKey).label)
      if (hit !== undefined) yield* settleHit(session, node, actionKey, hit)
    }
  })

  /** Holds a permit and the lease, or says that another process has the lease, or that it is done. */
  const tryOnce = Effect.fnUntraced(
    function*(
      session: Session,
      node: Node,
      actionKey: string,
      looked: Looked,
      inputs: Readonly<Record<string, InputPart>>
    ) {
      const names = labelOf(session, node.planKey)
      const implementation = options.implementationOf(node.step)
      if (implementation === undefined) {
        return yield* Effect.die(new Error(`no implementation of steps of kind "${node.step.kind}"`))
      }
      const why = looked.gone === undefined
        ? yield* ledger.read((rows) => missReasons(rows, node, names, inputs, session.code))
        : [looked.gone]
      const held = Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        const lease = yield* ledger.write((rows) =>
          actionOf(rows, actionKey)?.finished === looked.finished
            ? acquire(rows, actionKey, names.label, now)
            : { _tag: "Done" as const }, "noted")
        if (lease._tag !== "Mine") return lease
        leases.add(lease.id)
        yield* progress.emit({ _tag: "StepStarted", label: names.label, kind: node.step.kind, why: why.map(sentence) })
        const work = { node, names, actionKey, inputs, implementation, code: session.code, lease: lease.id }
        const exit = yield* Effect.exit(perform(work, options)).pipe(
          Effect.ensuring(Effect.sync(() => leases.delete(lease.id)))
        )
        // Before the permit is given back: the next step must find an engine that can be started, not a dead one.
        if (Exit.isFailure(exit) && tagOf(Cause.squash(exit.cause)) === "EngineLost") yield* options.engine.stop
        return { _tag: "Ended" as const, exit, why }
      })
      return yield* (implementation.computes ? options.computing : options.other).withPermit(held)
    }
  )

  const act = Effect.fnUntraced(
    function*(session: Session, node: Node, actionKey: string, inputs: Readonly<Record<string, InputPart>>) {
      const names = labelOf(session, node.planKey)
      let waiting = false
      for (;;) {
        const looked: Looked = yield* look(actionKey, names.label)
        if (looked.hit !== undefined) return yield* settleHit(session, node, actionKey, looked.hit)
        if (looked.gone?._tag === "OutputGone" && !waiting) {
          yield* progress.emit({
            _tag: "Warning",
            label: names.label,
            message: `${looked.gone.path} ${looked.gone.problem}; made again`
          })
        }
        const tried = yield* tryOnce(session, node, actionKey, looked, inputs)
        if (tried._tag === "Ended") return yield* ended(session, node, actionKey, tried)
        if (tried._tag === "Busy") {
          if (!waiting) {
            yield* progress.emit({
              _tag: "Warning",
              label: names.label,
              message: `process ${tried.pid} is running this step; waiting for its result`
            })
          }
          waiting = true
          yield* Effect.sleep(poll)
        }
      }
    }
  )

  const ended = Effect.fnUntraced(function*(
    session: Session,
    node: Node,
    actionKey: string,
    { exit, why }: { readonly exit: Exit.Exit<Finished, unknown>; readonly why: ReadonlyArray<Why> }
  ) {
    const { label } = labelOf(session, node.planKey)
    const { kind } = node.step
    if (Exit.isSuccess(exit)) {
      const { seconds } = exit.value
      settled.set(node.planKey, exit.value)
      yield* report(session, node, "ran", { actionKey, artifact: exit.value, seconds, why })
      yield* progress.emit({ _tag: "StepFinished", label, kind, seconds })
      return exit.value
    }
    const message = messageOf(exit.cause)
    const interrupted = Cause.hasInterruptsOnly(exit.cause)
    yield* report(session, node, interrupted ? "interrupted" : "failed", { actionKey, problem: message, why })
    yield* progress.emit({ _tag: "StepFailed", label, kind, message })
    return yield* Effect.failCause(exit.cause)
  })

  const stop = (session: Session, node: Node, failure: Failure): Effect.Effect<never, Stopped> => {
    session.failed.set(node.planKey, failure)
    session.first ??= failure
    return Effect.fail(new Stopped(failure))
  }

  /** Not interrupted by a sibling's failure: all inputs go as far as they can before the step is given up. */
  const work = (session: Session, node: Node): Effect.Effect<Finished, unknown> =>
    Effect.gen(function*() {
      const { label } = labelOf(session, node.planKey)
      const needs = [...new Set(Object.values(node.inputs).map(({ planKey }) => planKey))]
      const exits = yield* Effect.forEach(
        needs,
        (planKey) => Effect.exit(finish(session, session.graph.at(planKey))),
        { concurrency: "unbounded" }
      )
      const broken = needs.find((planKey, i) => Exit.isFailure(exits[i]!) && session.failed.has(planKey))
      if (broken !== undefined) {
        const failure = session.failed.get(broken)!
        yield* report(session, node, "blocked", { problem: `${failure.label}: ${messageOf(failure.cause)}` })
        return yield* stop(session, node, failure)
      }
      for (const exit of exits) if (Exit.isFailure(exit)) return yield* Effect.failCause(exit.cause)
      if (node.problem !== undefined) {
        yield* report(session, node, "failed", { problem: node.problem.message })
        yield* progress.emit({ _tag: "StepFailed", label, kind: node.step.kind, message: node.problem.message })
        return yield* stop(session, node, { label, cause: Cause.fail(node.problem) })
      }
      const inputs = inputsOf(session, node)!
      const actionKey = keyOf(node, inputs)
      const exit = yield* Effect.exit(actions.join(actionKey, act(session, node, actionKey, inputs)))
      if (Exit.isFailure(exit)) return yield* stop(session, node, { label, cause: exit.cause })
      // Another node of the same action did the work.
      return settled.has(node.planKey) ? exit.value : yield* settleHit(session, node, actionKey, exit.value)
    })

  const finish: Walk["finish"] = (session, node) =>
    Effect.suspend(() => {
      const done = settled.get(node.planKey)
      if (done !== undefined) return Effect.succeed(done)
      const failure = session.failed.get(node.planKey)
      if (failure !== undefined) return Effect.fail(new Stopped(failure))
      return Effect.catchCause(nodes.join(node.planKey, work(session, node)), (cause) => {
        const error = Cause.squash(cause)
        // Another session's flight may have brought the failure here.
        if (error instanceof Stopped) return stop(session, node, error.failure)
        return Effect.failCause(cause)
      })
    })

  return { hits, finish }
}
