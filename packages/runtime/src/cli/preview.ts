// `penchant preview FILE`: the pairs as the model will see them, loss tokens marked. Runs what tokenising needs, no more.
import type { AnyStep } from "@penchant/dsl/Step"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { previewRows, type PreviewToken } from "../data/preview.ts"
import { loadTokenizer } from "../data/tokenizer.ts"
import { decodeTokens } from "../data/tokensFile.ts"
import { Experiment, orFail } from "../experiment/Experiment.ts"
import { CurrentHome } from "../experiment/Home.ts"
import * as Bars from "../platform/Bars.ts"
import { layer } from "../Runtime.ts"
import { json, print, printJson } from "./output.ts"
import { BadPipeline, load } from "./Pipeline.ts"
import { engine, file, home, runtimeOptions, set } from "./settings.ts"

const rows = Flag.Int("rows").pipe(
  Flag.withDefault(2),
  Flag.withDescription("How many pairs of each data set to show")
)

/** Loss tokens are underlined on a terminal, and stand between ⟦ and ⟧ elsewhere; special tokens are named. */
const paint = (tokens: ReadonlyArray<PreviewToken>, colours: boolean): string =>
  tokens.map(({ loss, special, text }) => {
    if (!loss) return colours ? `\x1b[2m${text}\x1b[0m` : text
    const shown = special && text === "" ? "⏎" : text
    return colours ? `\x1b[4;32m${shown}\x1b[0m` : `⟦${shown}⟧`
  }).join("")

const tokenised = (targets: ReadonlyArray<{ readonly step: AnyStep }>): ReadonlyArray<AnyStep> => {
  const found = new Set<AnyStep>()
  const seen = new Set<AnyStep>()
  const visit = (step: AnyStep): void => {
    if (seen.has(step)) return
    seen.add(step)
    if (step.kind === "tokenise") found.add(step)
    for (const input of Object.values(step.inputs)) visit(input)
  }
  for (const { step } of targets) visit(step)
  return [...found]
}

/** Blobs have no names: a folder of links gives the tokenizer's files theirs. */
const named = (files: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), "penchant-"))
      for (const [name, blob] of Object.entries(files)) {
        if (!name.includes("/")) fs.symlinkSync(blob, path.join(folder, name))
      }
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
        const steps = tokenised(pipeline.targets)
        if (steps.length === 0) return yield* new BadPipeline({ file: flags.file, problem: "tokenises nothing" })
        const targets = steps.map((step, i) => ({ label: `${step.title} ${i + 1}`, step }))
        const experiment = yield* Experiment
        const { store } = yield* CurrentHome
        const done = yield* orFail(yield* experiment.run(targets))
        const keyOf = yield* experiment.keysOf(targets)
        const artifactOf = (step: AnyStep) => done.outcomes.find(({ planKey }) => planKey === keyOf(step))!.artifact!
        const shown = yield* Effect.forEach(steps, (step) =>
          Effect.scoped(Effect.gen(function*() {
            const { files, meta } = yield* store.open(artifactOf(step).digest)
            const model = yield* store.open(artifactOf(step.inputs["model"]!).digest)
            const tokenizer = yield* loadTokenizer(yield* named(model.files))
            const read = (name: string): Uint8Array => fs.readFileSync(files[name]!)
            const groups = yield* Effect.fromResult(
              decodeTokens(
                { "tokens.safetensors": read("tokens.safetensors"), "ids.json": read("ids.json") },
                files["tokens.safetensors"]!
              )
            )
            const report: unknown = JSON.parse(fs.readFileSync(files["report.json"]!, "utf8"))
            return {
              title: step.title,
              parameters: step.parameters,
              meta,
              report,
              pairs: previewRows(groups, tokenizer, flags.rows)
            }
          })))
        if (flags.json) return printJson(shown)
        for (const { meta, pairs, parameters, title } of shown) {
          print(`── ${title}: ${JSON.stringify(meta)} ${JSON.stringify(parameters)}`)
          for (const { branches, id, prompt } of pairs) {
            print(`\nrow ${id}, prompt of ${prompt.length} tokens`)
            print(paint(prompt, process.stdout.isTTY))
            for (const { ended, side, tokens } of branches) {
              print(`  ${side}, ${tokens.length} tokens in the loss${ended ? "" : ", cut before its end"}:`)
              print(paint(tokens, process.stdout.isTTY))
            }
          }
          print("")
        }
      }).pipe(Effect.provide(layer(options).pipe(Layer.provideMerge(Bars.layer))))
    })
).pipe(Command.withDescription("Show pairs as the model will see them, with the tokens that the loss reads"))
