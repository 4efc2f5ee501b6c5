// How a command ends: 0 done; 1 a typed failure, told in one paragraph; 2 usage; 130 interrupted.
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"

export const exitCode = (exit: Exit.Exit<unknown, unknown>): number => {
  if (Exit.isSuccess(exit)) return 0
  if (Cause.hasInterruptsOnly(exit.cause)) return 130
  const failure = Cause.findErrorOption(exit.cause)
  if (Option.isSome(failure) && CliError.isCliError(failure.value)) {
    return failure.value._tag === "ShowHelp" && failure.value.errors.length === 0 ? 0 : 2
  }
  return 1
}

/** What, where, what to do: the message of a typed error says all three. */
const explain = (error: unknown): string =>
  typeof error === "object" && error !== null && "_tag" in error && error instanceof Error
    ? `${String(error._tag)}: ${error.message}`
    : error instanceof Error
    ? error.stack ?? error.message
    : String(error)

/** As a finaliser: an interruption is told too. */
export const tellFailure = (exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  Effect.sync(() => {
    if (Exit.isSuccess(exit)) return
    const { cause } = exit
    if (Cause.hasInterruptsOnly(cause)) return void process.stderr.write("interrupted; run again to continue\n")
    const failure = Cause.findErrorOption(cause)
    if (Option.isNone(failure)) process.stderr.write(`a bug in penchant, please report it:\n${Cause.pretty(cause)}\n`)
    else if (!CliError.isCliError(failure.value)) process.stderr.write(`${explain(failure.value)}\n`)
  })
