// `penchant preview FILE`: the pairs as the model will see them, loss tokens marked. Runs what tokenising needs, no more.
import type { AnyStep } from "@penchant/dsl/Step"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { previewRows } from "../data/preview.ts"
import type { Quantiles } from "../data/quantiles.ts"
import type { TokeniseReport } from "../data/tokenisePart.ts"
import { loadTokenizer } from "../data/tokenizer.ts"
import { tokenLengths } from "../data/tokenLengths.ts"
import { Experiment, orFail } from "../experiment/Experiment.ts"
import { stepsOf } from "../experiment/graph.ts"
import { CurrentHome } from "../experiment/Home.ts"
import * as Bars from "../platform/Bars.ts"
import { forFile } from "../platform/PipelineFile.ts"
import { layer } from "../Runtime.ts"
import { fileOf, groupsOf } from "../steps/files.ts"
import { linkFiles } from "../steps/links.ts"
import { json, print, printJson, table } from "./output.ts"
import { legend, paint } from "./paintTokens.ts"
import { BadPipeline, load } from "./Pipeline.ts"
import { engine, file, home, runtimeOptions, set } from "./settings.ts"

const rows = Flag.Int("rows").pipe(
  Flag.withDefault(2),
  Flag.withDescription("How many pairs of each data set to show")
)

/** `34 of 40 pairs, 9,256 tokens; maxLength 256, truncation leftOfPrompt`. */
const headline = (meta: object, parameters: object): string =>
  [meta, parameters].map((of) =>
    Object.entries(of).map(([name, value]) =>
      typeof value === "number" ? `${name} ${value.toLocaleString("en")}` : `${name} ${String(value)}`
    ).join(", ")
  ).join("; ")

/** What happened to the data set as a whole: lengths, and what was cut or left out. */
const summary = (lengths: Readonly<Record<string, Quantiles>>, report: TokeniseReport): string => {
  const { cut, dropped, kept, lost, pairs, spelled, tooLong, unended } = report
  const some = (of: Readonly<Record<string, number>>): boolean => Object.values(of).some((count) => count > 0)
  const counts = (of: Readonly<Record<string, number>>): string =>
    Object.entries(of).map(([name, count]) => `${name} ${count.toLocaleString("en")}`).join(", ")
  const ids = (of: ReadonlyArray<string>): string => of.slice(0, 8).join(", ") + (of.length > 8 ? ", ..." : "")
  return [
    table(
      ["tokens", "mean", "p50", "p95", "p99", "max"],
      Object.entries(lengths).map(([part, { max, mean, p50, p95, p99 }]) =>
        [part, mean.toFixed(1)].concat([p50, p95, p99, max].map(String))
      ),
      [1, 2, 3, 4, 5]
    ),
    "",
    `kept ${kept} of ${pairs} pairs`,
    ...Object.entries(dropped).map(([why, rows]) => `dropped ${rows.length}: ${why} (rows ${ids(rows)})`),
    some(tooLong) ? `longer than maxLength before cutting: ${counts(tooLong)}` : "nothing is longer than maxLength",
    ...(some(cut) ? [`cut: ${counts(cut)}; tokens lost: ${counts(lost)}`] : []),
    ...(some(unended) ? [`without EOS or an end of turn: ${counts(unended)}`] : []),
    ...(spelled.length === 0 ? [] : [`text that spells BOS or EOS: ${spelled.length} (rows ${ids(spelled)})`])
  ].join("\n")
}

/** A folder in which the tokenizer's files have their names. */
const named = (files: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), "penchant-"))
      linkFiles(folder, files)
      return folder
    }),
    (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
  )

export const preview = Command.make(
  "preview",
  { file, rows, engine, home, set, json },
  (flags) =>
    Effect.gen(function*() {
      const options = yield* runtimeOptions(flags)
      yield* Effect.gen(function*() {
        const pipeline = yield* load(flags.file)
        const steps = stepsOf(pipeline.targets.map(({ step }) => step)).filter(({ kind }) => kind === "tokenise")
        if (steps.length === 0) return yield* new BadPipeline({ file: flags.file, problem: "tokenises nothing" })
        // By the name it is exported under, else by its title.
        const labelOf = (step: AnyStep, i: number): string =>
          pipeline.targets.find((target) => target.step === step)?.label ??
            (steps.length === 1 ? step.title : `${step.title} ${i + 1}`)
        const targets = steps.map((step, i) => ({ label: labelOf(step, i), step }))
        const experiment = yield* Experiment
        const { store } = yield* CurrentHome
        const done = yield* orFail(yield* experiment.run(targets))
        const open = (step: AnyStep) => store.open(done.outcomeOf(step)!.artifact!.digest)
        const shown = yield* Effect.forEach(targets, ({ label, step }) =>
          Effect.scoped(Effect.gen(function*() {
            const tokens = yield* open(step)
            const model = yield* open(step.inputs["model"]!)
            const tokenizer = yield* loadTokenizer(yield* named(model.files))
            const groups = yield* groupsOf(tokens)
            const report = JSON.parse(fs.readFileSync(fileOf(tokens, "report.json"), "utf8")) as TokeniseReport
            return {
              label,
              title: step.title,
              parameters: step.parameters,
              meta: tokens.meta,
              report,
              lengths: tokenLengths(groups),
              pairs: previewRows(groups, tokenizer, flags.rows)
            }
          })))
        if (flags.json) return printJson(shown)
        const colours = process.stdout.isTTY && process.stdout.hasColors()
        for (const { label, lengths, meta, pairs, parameters, report } of shown) {
          print(`── ${label}: ${headline(meta as object, parameters as object)}`)
          print(summary(lengths, report))
          print(`\n${legend(colours)}`)
          for (const { branches, id, prompt } of pairs) {
            print(`\nrow ${id}, prompt of ${prompt.length} tokens`)
            print(paint(prompt, colours))
            for (const { ended, side, tokens } of branches) {
              print(`  ${side}, ${tokens.length} tokens in the loss${ended ? "" : ", cut before its end"}:`)
              print(paint(tokens, colours))
            }
          }
          print("")
        }
      }).pipe(Effect.provide(layer(options).pipe(Layer.provideMerge(Bars.layer))))
    }).pipe(forFile(flags.file))
).pipe(Command.withDescription("Show pairs as the model will see them, with the tokens that the loss reads"))
