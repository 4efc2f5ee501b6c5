// What is wrong with steps as far as it is known before anything runs: the checks of their implementations, each look shared.
import type { ModelError } from "@penchant/dsl/Errors"
import type { AnyStep } from "@penchant/dsl/Step"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { Progress } from "../platform/Progress.ts"
import type { Implementation } from "../steps/Implementation.ts"

export type CheckStep = (step: AnyStep, label: string) => Effect.Effect<void, ModelError, Progress>

/** For one plan or run, since files may be others in the next. */
export const checker = (
  implementationOf: (step: AnyStep) => Implementation | undefined,
  directory: string
): CheckStep => {
  const looks = new Map<string, Exit.Exit<any, any>>()
  const once = <A, E, R>(key: string, look: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      const known = looks.get(key)
      if (known !== undefined) return known as Exit.Exit<A, E>
      return Effect.onExit(look, (exit) => Effect.sync(() => looks.set(key, exit)))
    })
  return (step, label) => implementationOf(step)?.check?.(step, { label, directory, once }) ?? Effect.void
}

export interface Checked {
  readonly problem: ModelError | undefined
  readonly warnings: ReadonlyArray<string>
}

/** What a check says, for a plan. */
export const checked = Effect.fnUntraced(function*(check: CheckStep, step: AnyStep, label: string) {
  const warnings: Array<string> = []
  const listener = Progress.of({
    emit: (event) => Effect.sync(() => event._tag === "Warning" ? void warnings.push(event.message) : undefined)
  })
  const problem = yield* check(step, label).pipe(
    Effect.as(undefined),
    Effect.catch((error) => Effect.succeed(error)),
    Effect.provideService(Progress, listener)
  )
  return { problem, warnings } satisfies Checked as Checked
})
