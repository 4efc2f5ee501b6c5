// `penchant run FILE`: makes everything that the file exports, then says what came out and where it is.
import { Executor } from "@penchant/dsl/Step"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import * as path from "node:path"
import { numericsOf } from "../compute/numerics.ts"
import { Experiment, orFail } from "../experiment/Experiment.ts"
import type { Outcome } from "../experiment/history.ts"
import { CurrentHome } from "../experiment/Home.ts"
import * as Bars from "../platform/Bars.ts"
import { duration } from "../platform/duration.ts"
import { forFile } from "../platform/PipelineFile.ts"
import { layer, type RuntimeOptions } from "../Runtime.ts"
import { benchmarksOf, writeBenchmarks } from "./lmEval.ts"
import { lockingExecutor, lockPipeline, printLocked } from "./lock.ts"
import { json, print, printJson, relative } from "./output.ts"
import { load, type Pipeline, select } from "./Pipeline.ts"
import { document, reportData, reportPlace, speedsFor } from "./results.ts"
import { engine, file, home, runtimeOptions, set } from "./settings.ts"

const only = Flag.String("only").pipe(
  Flag.atLeast(0),
  Flag.withDescription("Run only this result, or all of this study; may be repeated")
)

const lock = Flag.Boolean("lock").pipe(
  Flag.withDefault(false),
  Flag.withDescription("First write into penchant.lock what the file's data and models of the Hub are now")
)

/** `3 of 41 steps ran, 38 were there already` */
const summary = (outcomes: ReadonlyArray<Outcome>, seconds: number): string => {
  const count = (status: Outcome["status"]): number => outcomes.filter((outcome) => outcome.status === status).length
  const ran = count("ran")
  if (ran === 0 && count("hit") === outcomes.length) {
    return `nothing to do: all ${outcomes.length} steps are in the store (${duration(seconds)})`
  }
  const failed = count("failed") + count("blocked") + count("interrupted")
  return `${ran} of ${outcomes.length} steps ran, ${count("hit")} were in the store`
    + `${failed > 0 ? `, ${failed} did not finish` : ""} (${duration(seconds)})`
}

/** Runs a loaded pipeline and reports on it. Shared by the command and by `main` in a pipeline file. */
export const runPipeline = Effect.fn("runPipeline")(function*(
  pipeline: Pipeline,
  options: RuntimeOptions & {
    readonly only?: ReadonlyArray<string>
    readonly json?: boolean
    readonly lock?: boolean
    readonly command: string
  }
) {
  const started = performance.now()
  const experiment = yield* Experiment
  const current = yield* CurrentHome
  const engineName = options.engine ?? "onnx"
  const seconds = (): number => (performance.now() - started) / 1000

  if (pipeline.targets.length === 0 && pipeline.dynamic !== undefined) {
    const said = (locked: Parameters<typeof printLocked>[0]) => options.json === true ? undefined : printLocked(locked)
    const executor = options.lock === true ? yield* lockingExecutor(said) : yield* Executor
    const value = yield* Effect.provideService(pipeline.dynamic, Executor, executor)
    const outcomes = yield* experiment.outcomes
    if (options.json === true) {
      return printJson(document([], [], outcomes, () => undefined, yield* speedsFor(outcomes), []))
    }
    if (value !== undefined) print(typeof value === "string" ? value : JSON.stringify(value, undefined, 2))
    return print(summary(outcomes, seconds()))
  }

  if (options.lock === true) {
    const locked = yield* lockPipeline(pipeline)
    if (options.json !== true) printLocked(locked)
  }
  const targets = yield* select(pipeline, options.only ?? [])
  const done = yield* experiment.run(targets)
  const benchmarks = yield* benchmarksOf(targets, done.outcomeOf, numericsOf(engineName, options))
  if (options.json === true) {
    const speeds = yield* speedsFor(done.outcomes)
    printJson(document(pipeline.studies, targets, done.outcomes, done.outcomeOf, speeds, benchmarks))
    yield* orFail(done)
    return
  }
  const code = yield* experiment.code
  const place = reportPlace(current.directory, pipeline, done.outcomes, code.digest)
  const data = yield* reportData({
    pipeline,
    targets,
    outcomes: done.outcomes,
    outcomeOf: done.outcomeOf,
    numerics: numericsOf(engineName, options),
    command: options.command
  })
  const { renderTable } = yield* Effect.promise(() => import("../report/terminal.ts"))
  const table = renderTable(data, process.stdout.isTTY ? process.stdout.columns : undefined)
  if (table !== "") print(`\n${table}\n`)
  const unchanged = fs.existsSync(place.html) && fs.existsSync(place.stamp) &&
    fs.readFileSync(place.stamp, "utf8") === place.key
  print(summary(done.outcomes, seconds()))
  if (data.runs.length + (data.models ?? []).length > 0 && done.failure === undefined) {
    if (unchanged) print(`report unchanged: ${relative(place.html)}`)
    else {
      const { writeReport } = yield* Effect.promise(() => import("../report/write.ts"))
      const written = yield* writeReport(data, place.html)
      fs.writeFileSync(place.stamp, place.key)
      for (const { path, what } of written) print(`wrote ${what}: ${relative(path)}`)
    }
  }
  const folder = writeBenchmarks(current.directory, pipeline, benchmarks)
  if (folder !== undefined) print(`wrote benchmark results under lm-eval's names: ${relative(folder)}`)
  print(`results are in ${relative(current.directory)}; penchant ls lists them`)
  yield* orFail(done)
})

export const run = Command.make(
  "run",
  { file, engine, home, set, only, lock, json },
  (flags) =>
    Effect.gen(function*() {
      const options = yield* runtimeOptions(flags)
      const command = `pnpm penchant run ${relative(path.resolve(flags.file))}`
      yield* Effect.gen(function*() {
        const pipeline = yield* load(flags.file)
        yield* runPipeline(pipeline, { ...options, only: flags.only, json: flags.json, lock: flags.lock, command })
      }).pipe(Effect.provide(layer(options).pipe(Layer.provideMerge(Bars.layer))))
    }).pipe(forFile(flags.file))
).pipe(
  Command.withDescription("Run a pipeline: what is in the store is not run again, what was interrupted goes on"),
  Command.withExamples([
    { command: "penchant run pipelines/quickstart.ts", description: "Everything that the file exports" },
    {
      command: "penchant run pipelines/quickstart.ts --only objectives/dpo",
      description: "One result and what it needs"
    }
  ])
)
