// `penchant export RESULT DIR`: the model of a result as a Hugging Face folder, which transformers and every tool that reads
// such folders can load; with --adapter what LoRA trained alone, as PEFT has it.
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { CurrentHome } from "../experiment/Home.ts"
import { show } from "../experiment/listing.ts"
import { exported } from "../model/exported.ts"
import { isModelFile } from "../model/files.ts"
import { tokenizerFiles } from "../model/save.ts"
import { bytes } from "../platform/bytes.ts"
import { homeDirectory } from "../platform/home.ts"
import { json, print, printJson } from "./output.ts"
import { placeFolder } from "./placeFolder.ts"
import { home } from "./settings.ts"
import { dtype, formOf, maxShardSize } from "./weightsForm.ts"

/** The result has no such model, or the folder cannot take it. */
export class CannotExport extends Schema.TaggedError<CannotExport>()("CannotExport", {
  result: Schema.String,
  problem: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return `${this.result}: ${this.problem}; ${this.remedy}`
  }
}

const result = Argument.String("result").pipe(
  Argument.withDescription("A label, a digest, or the first six or more letters of a digest")
)
const to = Argument.String("dir").pipe(Argument.withDescription("A folder that is not there yet, or empty"))
const adapter = Flag.Boolean("adapter").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Only what LoRA trained, in PEFT's format, without the weights it is added to")
)

/** Labels of the models that a result was made from, nearest first. */
const modelsOf = Effect.fnUntraced(function*(result: string) {
  const { ledger } = yield* CurrentHome
  const seen = new Set<string>()
  const found: Array<string> = []
  let next = [result]
  while (next.length > 0) {
    const further: Array<string> = []
    for (const name of next) {
      const { made: [made] } = yield* show(ledger, name)
      for (const { digest, label } of Object.values(made?.parts.inputs ?? {})) {
        if (seen.has(digest)) continue
        seen.add(digest)
        const { manifest } = yield* show(ledger, digest)
        if (manifest.kind === "Weights") found.push(label)
        else further.push(digest)
      }
    }
    next = further
  }
  return found
})

/** What is written, by the name it gets. */
const chosen = (files: Readonly<Record<string, string>>, adapterOnly: boolean): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(files).flatMap(([name, at]) => {
      if (adapterOnly && name.startsWith("adapter/")) return [[name.slice("adapter/".length), at]]
      return (adapterOnly ? tokenizerFiles.includes(name) : isModelFile(name)) ? [[name, at]] : []
    })
  )

export const exportModel = Command.make(
  "export",
  { result, to, adapter, dtype, maxShardSize, home, json },
  (flags) =>
    Effect.gen(function*() {
      const { ledger, store } = yield* CurrentHome
      const { digest, manifest } = yield* show(ledger, flags.result)
      const refuse = (problem: string, remedy: string) => new CannotExport({ result: flags.result, problem, remedy })
      if (manifest.kind !== "Weights") {
        const models = yield* modelsOf(digest)
        return yield* refuse(
          `is ${manifest.kind}, no model`,
          models.length === 0 ? "penchant ls lists models as Weights" : `it was made with ${models.join(" and ")}`
        )
      }
      const { files } = yield* store.open(digest)
      if (flags.adapter && files["adapter/adapter_config.json"] === undefined) {
        return yield* refuse("has no adapter", "train with `lora` in the recipe, or export it whole without --adapter")
      }
      const dir = path.resolve(flags.to)
      const there = yield* Effect.promise(() => fs.readdir(dir).catch(() => []))
      if (there.length > 0) return yield* refuse(`${dir} is not empty`, "name a folder that is not there yet")
      const taken = yield* exported(chosen(files, flags.adapter), formOf(flags))
      const size = yield* placeFolder(dir, taken)
      const names = Object.keys(taken).toSorted()
      if (flags.json) return printJson({ result: flags.result, digest, dir, files: names, bytes: size })
      print(names.join("\n"))
      print(`wrote ${names.length} files, ${bytes(size)}, to ${flags.to}`)
    }).pipe(Effect.scoped, Effect.provide(CurrentHome.layer(homeDirectory(Option.getOrUndefined(flags.home)))))
)
  .pipe(Command.withDescription("Write the model of a result as a Hugging Face folder, or its LoRA adapter"))
