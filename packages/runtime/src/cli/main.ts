#!/usr/bin/env node
// The command line: parses, runs one command, and turns how it ended into an exit code.
// 0: done. 1: a typed failure, told in one paragraph. 2: usage. 130: interrupted (SIGINT, SIGTERM, SIGHUP alike).
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { conformance } from "./conformance.ts"
import { doctor } from "./doctor.ts"
import { ls } from "./ls.ts"
import { objectives } from "./objectives.ts"
import { plan } from "./plan.ts"
import { preview } from "./preview.ts"
import { report } from "./report.ts"
import { run } from "./run.ts"
import { show } from "./show.ts"
import { version } from "./version.ts"

const penchant = Command.make("penchant").pipe(
  Command.withDescription("Preference-optimisation experiments: write them as a file, run them, compare them"),
  Command.withSubcommands([run, plan, ls, show, report, preview, objectives, conformance, doctor])
)

// a mistake in the invocation is answered by what was wrong, not by a page of help
const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Effect.sync(() => {
        const formatter = CliOutput.defaultFormatter({ colors: process.stderr.isTTY })
        process.stderr.write(`${formatter.formatErrors(event.errors).trim()}\n`)
        process.stderr.write(`see: ${event.commandPath.join(" ")} --help\n`)
      })
      : CliOutput.defaultPresenter.present(event)
}

/** One paragraph per failure: what, where, what to do. */
const explain = (error: unknown): string => {
  if (typeof error === "object" && error !== null && "_tag" in error && error instanceof Error) {
    return `${error._tag}: ${error.message}`
  }
  return error instanceof Error ? error.stack ?? error.message : String(error)
}

const exitCode = (exit: Exit.Exit<unknown, unknown>): number => {
  if (Exit.isSuccess(exit)) return 0
  if (Cause.hasInterruptsOnly(exit.cause)) return 130
  const failure = Cause.findErrorOption(exit.cause)
  if (Option.isSome(failure) && CliError.isCliError(failure.value)) {
    return failure.value._tag === "ShowHelp" && failure.value.errors.length === 0 ? 0 : 2
  }
  return 1
}

const report_ = (cause: Cause.Cause<unknown>): void => {
  if (Cause.hasInterruptsOnly(cause)) {
    process.stderr.write("interrupted; run again to continue\n")
    return
  }
  const failure = Cause.findErrorOption(cause)
  if (Option.isNone(failure)) process.stderr.write(`a bug in penchant, please report it:\n${Cause.pretty(cause)}\n`)
  else if (!CliError.isCliError(failure.value)) process.stderr.write(`${explain(failure.value)}\n`)
}

// runMain listens to SIGINT and SIGTERM; a dropped terminal must checkpoint too
process.on("SIGHUP", () => process.kill(process.pid, "SIGTERM"))
// a reader that went away (`penchant ls | head`) is no failure
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error
})

penchant.pipe(
  Command.run({ version }),
  Effect.provideService(CliOutput.Presenter, presenter),
  Effect.provide(NodeServices.layer),
  Effect.tapCause((cause) => Effect.sync(() => report_(cause))),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    teardown: (exit, onExit) => onExit(exitCode(exit))
  })
)
