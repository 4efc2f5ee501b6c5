// `penchant report FILE`: the report of a pipeline from what is in the store; runs nothing.
import type { AnyStep } from "@penchant/dsl/Step"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as path from "node:path"
import { numericsOf } from "../compute/numerics.ts"
import { Experiment } from "../experiment/Experiment.ts"
import type { Outcome } from "../experiment/history.ts"
import { CurrentHome } from "../experiment/Home.ts"
import { forFile } from "../platform/PipelineFile.ts"
import { Progress } from "../platform/Progress.ts"
import { writeReport } from "../report/write.ts"
import { layer } from "../Runtime.ts"
import { json, print, printJson, relative } from "./output.ts"
import { BadPipeline, load } from "./Pipeline.ts"
import { reportData } from "./results.ts"
import { engine, file, home, runtimeOptions, set } from "./settings.ts"

const out = Flag.String("out").pipe(
  Flag.withAlias("o"),
  Flag.optional,
  Flag.withDescription("Where to write the HTML file; default NAME.html in the working directory")
)

export const report = Command.make("report", { file, out, engine, home, set, json }, (flags) =>
  Effect.gen(function*() {
    const options = yield* runtimeOptions(flags)
    yield* Effect.gen(function*() {
      const pipeline = yield* load(flags.file)
      const experiment = yield* Experiment
      const { store } = yield* CurrentHome
      const { nodes, of } = yield* experiment.plan(pipeline.targets)
      const outcomes = new Map<string, Outcome>()
      for (const { actionKey, aliases, estimate, exported, kind, label, planKey, verdict } of nodes) {
        if (verdict._tag !== "Hit") continue
        const { kind: made, meta } = yield* store.open(verdict.digest)
        const artifact = { digest: verdict.digest, kind: made, meta: meta as object }
        outcomes.set(planKey, {
          label,
          aliases,
          exported,
          kind,
          planKey,
          actionKey,
          status: "hit",
          why: [],
          seconds: estimate ?? 0,
          artifact,
          problem: undefined
        })
      }
      if (outcomes.size === 0) {
        return yield* new BadPipeline({
          file: flags.file,
          problem: `nothing of it has run yet; \`penchant run ${flags.file}\` makes its results`
        })
      }
      const data = yield* reportData({
        pipeline,
        targets: pipeline.targets,
        outcomes: [...outcomes.values()],
        outcomeOf: (step: AnyStep) => outcomes.get(of(step).planKey),
        numerics: numericsOf(flags.engine, options),
        command: `pnpm penchant run ${relative(path.resolve(flags.file))}`
      })
      if (flags.json) return printJson(data)
      const name = `${path.parse(flags.file).name}.html`
      for (
        const { path: at, what } of yield* writeReport(
          data,
          path.resolve(Option.getOrElse(flags.out, () => name))
        )
      ) {
        print(`wrote ${what}: ${at}`)
      }
      const missing = nodes.length - outcomes.size
      if (missing > 0) print(`${missing} of ${nodes.length} steps have not run; the report is about the rest`)
    }).pipe(Effect.provide(layer(options).pipe(Layer.provideMerge(Progress.silent))))
  }).pipe(forFile(flags.file))).pipe(
    Command.withDescription("Write the HTML report of what has run, without running anything")
  )
