// One step, from its lease to the row that makes it done: attempts, time limit, scratch, store, commit.
import type { Artifact, Kind } from "@penchant/dsl/Artifact"
import { BadFile, StepTimeout } from "@penchant/dsl/Errors"
import type { Policy } from "@penchant/dsl/Step"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as fs from "node:fs"
import * as path from "node:path"
import { Engine } from "../compute/Engine.ts"
import { attempt } from "../platform/problems.ts"
import { Progress } from "../platform/Progress.ts"
import type { Implementation, Input, Job, Output } from "../steps/Implementation.ts"
import { actionOf, commit, recordLabels } from "./actions.ts"
import type { Code } from "./code.ts"
import { environment } from "./environment.ts"
import type { Node } from "./graph.ts"
import type { Home } from "./Home.ts"
import type { InputPart } from "./keys.ts"
import type { Label } from "./labels.ts"
import type { LazyEngine } from "./lazyEngine.ts"
import { type Ending, release } from "./leases.ts"
import { readSources } from "./sources.ts"

/** A finished step. */
export interface Finished extends Artifact<Kind> {
  readonly kind: string
  readonly meta: object
  readonly seconds: number
}

export interface Work {
  readonly node: Node
  readonly names: Label
  readonly actionKey: string
  readonly inputs: Readonly<Record<string, InputPart>>
  readonly implementation: Implementation
  readonly code: Code
  /** The attempt's row, whose lease is held. */
  readonly lease: number
}

export interface Surroundings {
  readonly home: Home
  readonly engine: LazyEngine
  readonly progress: Progress["Service"]
  /** Overrides the policy of every step. */
  readonly policy: Policy
}

/** What went wrong, in words, whatever was thrown. */
export const messageOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  if (Cause.hasInterruptsOnly(cause)) return "interrupted"
  return error instanceof Error ? error.message || error.name : String(error)
}

const limited = (work: Work, policy: Policy, once: Effect.Effect<Output, unknown>): Effect.Effect<Output, unknown> => {
  const { timeout } = policy
  return timeout === undefined ? once : Effect.timeoutOrElse(once, {
    duration: `${timeout} seconds`,
    orElse: () => Effect.fail(new StepTimeout({ label: work.names.label, seconds: timeout }))
  })
}

/** Attempts after the first wait 0.5 s, 1 s, 2 s, ... up to 30 s; each finds the scratch directory as the last one left it. */
const retried = (
  work: Work,
  policy: Policy,
  { progress }: Surroundings,
  once: Effect.Effect<Output, unknown>
) => {
  const { retries = 0 } = policy
  let failed = 0
  const said = Effect.tapError(once, (error) =>
    ++failed > retries ? Effect.void : progress.emit({
      _tag: "Warning",
      label: work.names.label,
      message: `attempt ${failed} of ${retries + 1} failed, trying again: ${messageOf(Cause.fail(error))}`
    }))
  return retries === 0
    ? said
    : Effect.retry(said, {
      times: retries,
      schedule: Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")])
    })
}

/** Keys were made from the files as they were; a result of other bytes must not be stored under them. */
const sourcesUnchanged = Effect.fnUntraced(function*({ node }: Work, { home }: Surroundings) {
  const before = Object.values(node.sources)
  if (before.length === 0) return
  const now = yield* readSources(home.ledger, before.map(({ path }) => path))
  for (const { digest, path } of before) {
    const source = now.get(path)!
    if (Result.isFailure(source) || source.success.digest !== digest) {
      return yield* new BadFile({ file: path, problem: "changed while it was being read; run again" })
    }
  }
})

const outcomeOf = (exit: Exit.Exit<unknown, unknown>): Ending =>
  Exit.isSuccess(exit) ? "done" : Cause.hasInterruptsOnly(exit.cause) ? "interrupted" : "failed"

/** Runs the implementation and commits what it leaves. Everything after the implementation is not interruptible. */
export const perform = (work: Work, surroundings: Surroundings): Effect.Effect<Finished, unknown> => {
  const { actionKey, code, implementation, inputs, lease, names, node } = work
  const { engine, home, progress } = surroundings
  const { ledger, store } = home
  const scratch = home.scratch(actionKey)
  const policy = { ...node.step.policy, ...surroundings.policy }

  const run = Effect.gen(function*() {
    yield* attempt(scratch, () => fs.mkdirSync(scratch, { recursive: true }))
    const opened: Record<string, Input> = {}
    for (const [name, { digest }] of Object.entries(inputs)) opened[name] = yield* store.open(digest)
    const identity: Record<string, string> = { ...node.own.identity }
    for (const [name, { digest }] of Object.entries(inputs)) identity[`input ${name}`] = digest
    const job: Job = {
      step: node.step,
      policy,
      label: names.label,
      inputs: opened,
      scratch,
      shared: path.join(home.directory, "shared"),
      actionKey,
      identity
    }
    const once = implementation.run(job).pipe(
      Effect.provideService(Engine, yield* implementation.computes ? engine.engine : absent),
      Effect.provideService(Progress, progress)
    )
    return yield* retried(work, policy, surroundings, limited(work, policy, once))
  })

  const keep = Effect.fnUntraced(function*(output: Output, started: number) {
    yield* sourcesUnchanged(work, surroundings)
    const stored = yield* store.put(output, scratch)
    const now = yield* Clock.currentTimeMillis
    const seconds = (now - started) / 1000
    const adopted = yield* ledger.write((rows) => {
      // Held to be dead from afar, and overtaken: whatever was built on the other result must stay true.
      const theirs = release(rows, lease, "done", now) ? undefined : actionOf(rows, actionKey)
      if (theirs !== undefined) return theirs.output
      stored.record(rows, now)
      commit(
        rows,
        {
          actionKey,
          planKey: node.planKey,
          ownKey: node.own.key,
          kind: node.step.kind,
          parts: { ...node.own.own(), inputs },
          output: stored.digest,
          seconds,
          environment: environment(),
          code: code.files,
          finished: now
        },
        stored.manifest.meta,
        output.speed
      )
      recordLabels(rows, names, actionKey, now)
      return undefined
    })
    // Removing it is tidiness: what is left of a committed step is swept later.
    yield* Effect.ignore(attempt(scratch, () => fs.rmSync(scratch, { recursive: true, force: true })))
    if (adopted === undefined) {
      return { digest: stored.digest, kind: stored.manifest.kind, meta: stored.manifest.meta, seconds }
    }
    const { kind, meta } = yield* store.open(adopted)
    return { digest: adopted, kind, meta: meta as object, seconds }
  })

  return Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (started) => Effect.flatMap(restore(run), (output) => keep(output, started))
    ).pipe(
      Effect.onExit((exit) =>
        Exit.isSuccess(exit)
          ? Effect.void
          : Effect.flatMap(
            Clock.currentTimeMillis,
            (now) => Effect.ignore(ledger.write((rows) => release(rows, lease, outcomeOf(exit), now), "noted"))
          )
      )
    )
  )
}

/** Steps that do not compute have no business with the engine. */
const absent: Effect.Effect<Engine["Service"]> = Effect.succeed(
  Engine.of({
    numerics: { engine: "none", version: "0", compute: "float64", loss: "host", determinism: "bitwise", groups: [] },
    open: () => Effect.die(new Error("a step that does not declare `computes` opened a model"))
  })
)
