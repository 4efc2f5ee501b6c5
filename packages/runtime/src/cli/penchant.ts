// The command line: parses, runs one command, and ends with its exit code.
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { conformance } from "./conformance.ts"
import { doctor } from "./doctor.ts"
import { exitCode, tellFailure } from "./ending.ts"
import { exportModel } from "./export.ts"
import { inspect } from "./inspect.ts"
import { lock } from "./lock.ts"
import { ls } from "./ls.ts"
import { objectives } from "./objectives.ts"
import { plan } from "./plan.ts"
import { preview } from "./preview.ts"
import { publish } from "./publish.ts"
import { report } from "./report.ts"
import { run } from "./run.ts"
import { show } from "./show.ts"
import { version } from "./version.ts"

const penchant = Command.make("penchant").pipe(
  Command.withDescription("Preference-optimisation experiments: write them as a file, run them, compare them"),
  Command.withSubcommands([
    run,
    plan,
    lock,
    ls,
    show,
    exportModel,
    publish,
    report,
    preview,
    inspect,
    objectives,
    conformance,
    doctor
  ])
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
  Effect.onExit(tellFailure),
  NodeRuntime.runMain({ disableErrorReporting: true, teardown: (exit, onExit) => onExit(exitCode(exit)) })
)
