// `penchant publish RESULT TO`: a trained model with its tokenizer and a model card, as a folder or in a repository of the Hub.
import { BadFile } from "@penchant/dsl/Errors"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as path from "node:path"
import { CurrentHome } from "../experiment/Home.ts"
import { CurrentHub } from "../hub/Hub.ts"
import { readLock } from "../hub/LockFile.ts"
import { type Upload, upload } from "../hub/upload.ts"
import { exported, type Form } from "../model/exported.ts"
import { isModelFile } from "../model/files.ts"
import { homeDirectory } from "../platform/home.ts"
import { modelCard } from "../report/modelCard.ts"
import { provenanceOf } from "../report/provenance.ts"
import { StepMetrics } from "../training/StepMetrics.ts"
import { json, print, printJson, relative } from "./output.ts"
import { type Files, placeFolder } from "./placeFolder.ts"
import { home } from "./settings.ts"
import { version } from "./version.ts"
import { dtype, formOf, maxShardSize } from "./weightsForm.ts"

const result = Argument.String("result").pipe(
  Argument.withDescription("A trained model, or what was measured of one: a label, or a digest")
)
const to = Argument.String("to").pipe(
  Argument.withDescription("A new folder, beginning with ./ or /, or a repository of the Hub, such as me/model")
)
const open = Flag.Boolean("public").pipe(
  Flag.withDefault(false),
  Flag.withDescription("A new repository is public; by default it is private")
)

const Lines = Schema.Array(Schema.fromJsonString(StepMetrics))
const figureName = "training.svg"

const figureOf = Effect.fnUntraced(function*(metricsFile: string | undefined) {
  if (metricsFile === undefined) return undefined
  const lines = fs.readFileSync(metricsFile, "utf8").split("\n").filter((line) => line !== "")
  const metrics = yield* Effect.mapError(
    Schema.decodeEffect(Lines)(lines),
    ({ message }) => new BadFile({ file: metricsFile, problem: message })
  )
  const { trainingFigure } = yield* Effect.promise(() => import("../report/trainingFigure.ts"))
  return trainingFigure(metrics)
})

/** Everything that is published of a result, by name. */
const filesOf = Effect.fnUntraced(function*(name: string, called: string, form: Form) {
  const current = yield* CurrentHome
  const provenance = yield* provenanceOf(current, name)
  const { files } = yield* current.store.open(provenance.model.digest)
  const locked = yield* Effect.fromResult(readLock(process.cwd())).pipe(Effect.orElseSucceed(() => []))
  const svg = yield* figureOf(files["metrics.jsonl"])
  const figure = svg === undefined ? undefined : figureName
  const text = (content: string) => new TextEncoder().encode(content)
  const published: Record<string, Uint8Array> = {
    "README.md": text(modelCard({ name: called, provenance, locked, figure, version }))
  }
  if (svg !== undefined) published[figureName] = text(svg)
  const chosen = Object.fromEntries(Object.entries(files).filter(([file]) => isModelFile(file)))
  return { provenance, files: { ...published, ...yield* exported(chosen, form) } }
})

/** What is still to be written, written in the state directory for as long as the scope is open. */
const onDisk = Effect.fnUntraced(function*(files: Files) {
  const { directory } = yield* CurrentHome
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(directory, "publish-"))),
    (made) => Effect.sync(() => fs.rmSync(made, { recursive: true, force: true }))
  )
  const written = Object.fromEntries(
    Object.entries(files).filter(([, content]) => !(content instanceof Uint8Array) && "write" in content)
  )
  const place = path.join(folder, "files")
  yield* placeFolder(place, written)
  const paths = Object.keys(written).map((name) => [name, { path: path.join(place, name) }] as const)
  return { ...files, ...Object.fromEntries(paths) } as Upload["files"]
})

export const publish = Command.make(
  "publish",
  { result, to, public: open, dtype, maxShardSize, home, json },
  (flags) =>
    Effect.gen(function*() {
      const folder = /^(\.{1,2}|~)?[/\\]/.test(flags.to) ? path.resolve(flags.to) : undefined
      if (folder === undefined && !/^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(flags.to)) {
        return yield* new BadFile({
          file: flags.to,
          problem: "is neither a folder nor a repository",
          remedy: "a folder begins with ./ or /, a repository is owner/name"
        })
      }
      if (folder !== undefined && fs.existsSync(folder)) {
        return yield* new BadFile({
          file: folder,
          problem: "is there already",
          remedy: "name a new folder, or remove it"
        })
      }
      const called = folder === undefined ? flags.to : path.basename(folder)
      const { files, provenance } = yield* filesOf(flags.result, called, formOf(flags))
      const at = folder ?? (yield* upload(yield* CurrentHub, flags.to, {
        files: yield* onDisk(files),
        title: `Publish ${provenance.trainings[0]?.label ?? provenance.model.digest.slice(0, 12)}`,
        visibility: flags.public ? "public" : "private"
      }))
      if (folder !== undefined) yield* placeFolder(folder, files)
      if (flags.json) printJson({ digest: provenance.model.digest, at, files: Object.keys(files).toSorted() })
      else print(`wrote ${Object.keys(files).length} files: ${folder === undefined ? at : relative(folder)}`)
    }).pipe(Effect.scoped, Effect.provide(CurrentHome.layer(homeDirectory(Option.getOrUndefined(flags.home)))))
).pipe(
  Command.withDescription("Publish a trained model with a model card, as a folder or to the Hub")
)
