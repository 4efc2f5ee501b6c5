// The way through a graph: hits first, then inputs before what needs them, each step once however many ask for it.
import type { ModelError, StoreError } from "@penchant/dsl/Errors"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { Progress } from "../platform/Progress.ts"
import { act, type ActOptions, hit, look } from "./act.ts"
import type { CheckStep } from "./check.ts"
import type { Node } from "./graph.ts"
import { type Finished, messageOf } from "./perform.ts"
import { actionKeyOf, type Failure, inputsOf, labelOf, report, type Session, Stopped } from "./session.ts"
import { singleFlight } from "./singleFlight.ts"

export interface WalkOptions extends ActOptions {
  readonly scope: Scope.Scope
}

export interface Walk {
  /** Settles every node that is in the store, without a fiber for each. */
  readonly hits: (session: Session) => Effect.Effect<void, StoreError>
  /** Fails what is known to be impossible before anything of the session runs, with all that needs it, and says what may go wrong. */
  readonly checks: (session: Session, check: CheckStep) => Effect.Effect<void, StoreError>
  readonly finish: (session: Session, node: Node) => Effect.Effect<Finished, unknown>
}

type Impossible = NonNullable<Node["problem"]> | ModelError

const stop = (session: Session, node: Node, failure: Failure): Effect.Effect<never, Stopped> => {
  session.failed.set(node.planKey, failure)
  session.first ??= failure
  return Effect.fail(new Stopped(failure))
}

export const walker = (options: WalkOptions): Walk => {
  const { progress, record, scope } = options
  /** Results by plan key, for as long as the process lives. */
  const settled = new Map<string, Finished>()
  const nodes = singleFlight<Finished, unknown>(scope)
  const actions = singleFlight<Finished, unknown>(scope)

  const hits: Walk["hits"] = Effect.fnUntraced(function*(session) {
    for (const node of session.graph.nodes) {
      if (node.broken || settled.has(node.planKey)) continue
      const inputs = inputsOf(session, node, settled)
      if (inputs === undefined) continue
      const actionKey = actionKeyOf(node, inputs)
      const looked = yield* look(options, actionKey, labelOf(session, node).label)
      if (looked.hit === undefined) continue
      settled.set(node.planKey, looked.hit)
      yield* hit(options, session, node, actionKey, looked.hit)
    }
  })

  /** What is known to be impossible before anything runs. */
  const impossible = Effect.fnUntraced(function*(session: Session, node: Node, problem: Impossible) {
    const { label } = labelOf(session, node)
    const { message } = problem
    yield* report(record, session, node, "failed", { problem: message })
    yield* progress.emit({ _tag: "StepFailed", label, kind: node.step.kind, message })
    return yield* stop(session, node, { label, cause: Cause.fail(problem) })
  })

  const blocked = Effect.fnUntraced(function*(session: Session, node: Node, failure: Failure) {
    yield* report(record, session, node, "blocked", { problem: `${failure.label}: ${messageOf(failure.cause)}` })
    return yield* stop(session, node, failure)
  })

  const checks: Walk["checks"] = Effect.fnUntraced(function*(session, check) {
    for (const node of session.graph.nodes) {
      if (settled.has(node.planKey)) continue
      const failures = Object.values(node.inputs).map(({ planKey }) => session.failed.get(planKey))
      const failure = failures.find((each) => each !== undefined)
      if (failure !== undefined) {
        yield* Effect.exit(blocked(session, node, failure))
        continue
      }
      const { label } = labelOf(session, node)
      const asked: Effect.Effect<void, Impossible, Progress> = node.problem === undefined
        ? check(node.step, label)
        : Effect.fail(node.problem)
      const done = yield* Effect.result(Effect.provideService(asked, Progress, progress))
      if (Result.isFailure(done)) yield* Effect.exit(impossible(session, node, done.failure))
    }
  })

  const work = Effect.fnUntraced(function*(session: Session, node: Node) {
    const needs = [...new Set(Object.values(node.inputs).map(({ planKey }) => planKey))]
    // All inputs go as far as they can: what one of them does is not lost when another fails.
    const exits = yield* Effect.forEach(
      needs,
      (planKey) => Effect.exit(finish(session, session.graph.at(planKey))),
      { concurrency: "unbounded" }
    )
    for (const [i, exit] of exits.entries()) {
      if (Exit.isSuccess(exit)) continue
      const failure = session.failed.get(needs[i]!)
      if (failure === undefined) return yield* Effect.failCause(exit.cause)
      return yield* blocked(session, node, failure)
    }
    const inputs = inputsOf(session, node, settled)!
    const actionKey = actionKeyOf(node, inputs)
    const exit = yield* Effect.exit(actions.join(actionKey, act(options, session, node, actionKey, inputs)))
    if (Exit.isFailure(exit)) {
      return yield* stop(session, node, { label: labelOf(session, node).label, cause: exit.cause })
    }
    settled.set(node.planKey, exit.value)
    // Another node of the same action may have done the work.
    if (record.outcomes.get(node.planKey)?.artifact === undefined) {
      yield* hit(options, session, node, actionKey, exit.value)
    }
    return exit.value
  })

  const finish: Walk["finish"] = (session, node) =>
    Effect.suspend(() => {
      const done = settled.get(node.planKey)
      if (done !== undefined) return Effect.succeed(done)
      const failure = session.failed.get(node.planKey)
      if (failure !== undefined) return Effect.fail(new Stopped(failure))
      return Effect.catchCause(nodes.join(node.planKey, work(session, node)), (cause) => {
        const error = Cause.squash(cause)
        // The work may have been another session's, which keeps its own account.
        return error instanceof Stopped ? stop(session, node, error.failure) : Effect.failCause(cause)
      })
    })

  return { hits, checks, finish }
}
