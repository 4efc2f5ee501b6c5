// One action: taken from the store if all of it is there, else run under a lease, else waited for while another process runs it.
import type { AnyStep } from "@penchant/dsl/Step"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Semaphore from "effect/Semaphore"
import type { Implementation } from "../steps/Implementation.ts"
import { actionOf } from "./actions.ts"
import type { Node } from "./graph.ts"
import type { History } from "./history.ts"
import { acquire, type Lease } from "./leases.ts"
import { type Finished, messageOf, perform, type Surroundings } from "./perform.ts"
import { missReasons } from "./Plan.ts"
import { type Inputs, labelOf, report, type Session, tagOf } from "./session.ts"
import { sentence, type Why } from "./Why.ts"

export interface ActOptions extends Surroundings {
  readonly record: History
  /** Rows of attempts that this process holds now. */
  readonly leases: Set<number>
  readonly implementationOf: (step: AnyStep) => Implementation | undefined
  readonly computing: Semaphore.Semaphore
  readonly other: Semaphore.Semaphore
  /** Milliseconds between two looks at a step that another process runs. */
  readonly poll: number
}

export interface Looked {
  readonly hit: Finished | undefined
  /** When the result that is gone was made: a later one is another process's repair. */
  readonly finished: number | undefined
  readonly gone: Extract<Why, { readonly _tag: "OutputGone" }> | undefined
}

/** The recorded result, if all of it is there. A manifest that had to be repaired is said. */
export const look = Effect.fnUntraced(function*({ home, progress }: Surroundings, actionKey: string, label: string) {
  const action = yield* home.ledger.read((rows) => actionOf(rows, actionKey))
  if (action === undefined) return { hit: undefined, finished: undefined, gone: undefined } satisfies Looked as Looked
  const { finished, output, seconds } = action
  const condition = yield* home.store.check(output, "bytes")
  if (condition._tag === "Gone") {
    const { path, problem } = condition
    return { hit: undefined, finished, gone: { _tag: "OutputGone", path, problem } } satisfies Looked as Looked
  }
  if (condition.repaired !== undefined) {
    yield* progress.emit({ _tag: "Warning", label, message: `${condition.repaired}; written anew from the ledger` })
  }
  const { kind, meta } = condition.manifest
  return { hit: { digest: output, kind, meta, seconds }, finished, gone: undefined } satisfies Looked as Looked
})

type Tried =
  | { readonly _tag: "Ended"; readonly exit: Exit.Exit<Finished, unknown>; readonly why: ReadonlyArray<Why> }
  | { readonly _tag: "Done" }
  | Extract<Lease, { readonly _tag: "Busy" }>

/** Runs the step if its lease is free. The permit is held only while it runs, never while another process does. */
const tryOnce = Effect.fnUntraced(
  function*(options: ActOptions, session: Session, node: Node, actionKey: string, looked: Looked, inputs: Inputs) {
    const { home: { ledger }, implementationOf, leases, progress } = options
    const names = labelOf(session, node)
    const implementation = implementationOf(node.step)
    if (implementation === undefined) {
      return yield* Effect.die(new Error(`no implementation of steps of kind "${node.step.kind}"`))
    }
    const why = looked.gone === undefined
      ? yield* ledger.read((rows) => missReasons(rows, node, names, inputs, session.code))
      : [looked.gone]
    const held = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const lease = yield* ledger.write(
        (rows) =>
          actionOf(rows, actionKey)?.finished === looked.finished
            ? acquire(rows, actionKey, names.label, now)
            : { _tag: "Done" as const },
        "noted"
      )
      if (lease._tag !== "Mine") return lease
      leases.add(lease.id)
      yield* progress.emit({ _tag: "StepStarted", label: names.label, kind: node.step.kind, why: why.map(sentence) })
      const work = { node, names, actionKey, inputs, implementation, code: session.code, lease: lease.id }
      const exit = yield* Effect.exit(perform(work, options)).pipe(
        Effect.ensuring(Effect.sync(() => leases.delete(lease.id)))
      )
      // Before the permit is given back: the next step must find an engine that can be started, not a dead one.
      if (Exit.isFailure(exit) && tagOf(Cause.squash(exit.cause)) === "EngineLost") yield* options.engine.stop
      return { _tag: "Ended", exit, why } satisfies Tried as Tried
    })
    return yield* (implementation.computes ? options.computing : options.other).withPermit(held)
  }
)

const ended = Effect.fnUntraced(
  function*(
    { progress, record }: ActOptions,
    session: Session,
    node: Node,
    actionKey: string,
    { exit, why }: Extract<Tried, { readonly _tag: "Ended" }>
  ) {
    const { label } = labelOf(session, node)
    const { kind } = node.step
    if (Exit.isSuccess(exit)) {
      const { seconds } = exit.value
      yield* report(record, session, node, "ran", { actionKey, artifact: exit.value, seconds, why })
      yield* progress.emit({ _tag: "StepFinished", label, kind, seconds })
      return exit.value
    }
    const problem = messageOf(exit.cause)
    const interrupted = Cause.hasInterruptsOnly(exit.cause)
    yield* report(record, session, node, interrupted ? "interrupted" : "failed", { actionKey, problem, why })
    yield* progress.emit({ _tag: "StepFailed", label, kind, message: problem })
    return yield* Effect.failCause(exit.cause)
  }
)

export const hit = Effect.fnUntraced(
  function*({ progress, record }: ActOptions, session: Session, node: Node, actionKey: string, finished: Finished) {
    yield* report(record, session, node, "hit", { actionKey, artifact: finished })
    yield* progress.emit({ _tag: "StepHit", label: labelOf(session, node).label, kind: node.step.kind })
    return finished
  }
)

/** The result of a node whose inputs are there, and what became of it reported. */
export const act = Effect.fnUntraced(
  function*(options: ActOptions, session: Session, node: Node, actionKey: string, inputs: Inputs) {
    const { label } = labelOf(session, node)
    const warn = (message: string) => options.progress.emit({ _tag: "Warning", label, message })
    let waiting = false
    for (;;) {
      const looked = yield* look(options, actionKey, label)
      if (looked.hit !== undefined) return yield* hit(options, session, node, actionKey, looked.hit)
      if (looked.gone !== undefined && !waiting) yield* warn(`${looked.gone.path} ${looked.gone.problem}; made again`)
      const tried = yield* tryOnce(options, session, node, actionKey, looked, inputs)
      if (tried._tag === "Ended") return yield* ended(options, session, node, actionKey, tried)
      if (tried._tag === "Done") continue
      if (!waiting) yield* warn(`process ${tried.pid} is running this step; waiting for its result`)
      waiting = true
      yield* Effect.sleep(options.poll)
    }
  }
)
