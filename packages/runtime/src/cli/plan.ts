// `penchant plan FILE`: what a run would do and why, before anything runs. Offline; writes nothing but file digests.
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { stepsOf } from "../experiment/graph.ts"
import { duration } from "../platform/duration.ts"
import { forFile } from "../platform/PipelineFile.ts"
import { Progress } from "../platform/Progress.ts"
import { json, print, printJson } from "./output.ts"
import { engine, file, home, runtimeOptions, set } from "./settings.ts"

const marks = { Hit: "=", Run: "+", MaybeCutoff: "?", Blocked: "✗" } as const

export const plan = Command.make("plan", { file, engine, home, set, json }, (flags) =>
  Effect.gen(function*() {
    const options = yield* runtimeOptions(flags)
    const [{ load }, { Experiment }, { reasons }, { layer }, { memoriesOf, memoryLines }, { numericsOf }] =
      yield* Effect
        .promise(() =>
          Promise.all([
            import("./Pipeline.ts"),
            import("../experiment/Experiment.ts"),
            import("../experiment/Plan.ts"),
            import("../Runtime.ts"),
            import("./memory.ts"),
            import("../compute/numerics.ts")
          ])
        )
    yield* Effect.gen(function*() {
      const pipeline = yield* load(flags.file)
      const planned = yield* Experiment.use((experiment) => experiment.plan(pipeline.targets))
      const { nodes } = planned
      const steps = stepsOf(pipeline.targets.map(({ step }) => step))
      const memories = yield* memoriesOf(steps, planned, numericsOf(flags.engine, options))
      if (flags.json) {
        return printJson({
          ...(pipeline.studies.length === 1 ? { study: pipeline.studies[0]!.name } : {}),
          steps: nodes.map(({ actionKey, estimate, kind, label, planKey, verdict, warnings }) => ({
            label,
            kind,
            planKey,
            actionKey: actionKey ?? null,
            verdict: verdict._tag,
            why: reasons(verdict),
            seconds: estimate ?? null,
            memory: memories.get(planKey) ?? null,
            warnings,
            outputs: verdict._tag === "Hit" ? [verdict.digest] : []
          })),
          results: []
        })
      }
      if (pipeline.dynamic !== undefined) print("the default export is a program: known as it runs")
      // What only waits for a step that cannot run is counted, not told again.
      const missed = nodes.filter(({ label, verdict }) =>
        verdict._tag !== "Hit" && !(verdict._tag === "Blocked" && verdict.by !== label)
      )
      const width = Math.min(60, Math.max(0, ...missed.map(({ label }) => label.length)))
      for (const { estimate, label, verdict } of missed) {
        const time = estimate === undefined ? "" : `  about ${duration(estimate)}`
        print(`${marks[verdict._tag]} ${label.padEnd(width)}  ${reasons(verdict).join("; ")}${time}`)
      }
      for (const { label, warnings } of nodes) for (const each of warnings) print(`! ${label}  ${each}`)
      for (const line of memoryLines([...memories.values()])) print(line)
      const count = (tag: keyof typeof marks): number => nodes.filter(({ verdict }) => verdict._tag === tag).length
      const seconds = nodes.reduce((sum, { estimate }) => sum + (estimate ?? 0), 0)
      print(
        `${nodes.length} steps: ${count("Hit")} unchanged, ${count("Run")} to run, ${
          count("MaybeCutoff")
        } depending on results`
          + `${count("Blocked") > 0 ? `, ${count("Blocked")} blocked` : ""}${
            seconds > 0 ? `; about ${duration(seconds)} by earlier runs` : ""
          }`
      )
    }).pipe(Effect.provide(layer(options).pipe(Layer.provideMerge(Progress.silent))))
  }).pipe(forFile(flags.file))).pipe(
    Command.withDescription("Say what a run would do, and why, without running anything")
  )
