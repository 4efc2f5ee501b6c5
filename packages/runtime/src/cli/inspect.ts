// `penchant inspect DATASET`: what a file or folder of preference rows is like, before anything is trained on it.
import { BadFile } from "@penchant/dsl/Errors"
import { formats } from "@penchant/dsl/Normalise"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import * as path from "node:path"
import { profileOf } from "../data/profile.ts"
import { typed } from "../data/rows.ts"
import { splitOf, splitsIn } from "../data/splitFiles.ts"
import { profilePage, profileText } from "../report/profile.ts"
import { writePage } from "../report/write.ts"
import { json, print, printJson, relative, table } from "./output.ts"

const dataset = Argument.String("dataset").pipe(
  Argument.withDescription("A file of rows (.jsonl, .json, .csv, .parquet), or a folder of them with --split")
)
const split = Flag.String("split").pipe(Flag.optional, Flag.withDescription("Of a folder: the files called after it"))
const dir = Flag.String("dir").pipe(
  Flag.optional,
  Flag.withDescription("Of a folder: only the files under this part of it")
)
const format = Flag.Literals("format", formats).pipe(
  Flag.optional,
  Flag.withDescription("The shape of the rows; recognised by their fields when left out")
)
const out = Flag.String("out").pipe(Flag.withAlias("o"), Flag.optional, Flag.withDescription("Also write an HTML page"))

export const inspect = Command.make(
  "inspect",
  { dataset, split, dir, format, out, json },
  (flags) =>
    Effect.gen(function*() {
      const { dir, split } = flags
      const profile = yield* typed(async (signal) => {
        if (Option.isNone(split) && fs.statSync(flags.dataset, { throwIfNoEntry: false })?.isDirectory() === true) {
          const there = await splitsIn(flags.dataset)
          const which = there.length === 0 ? "" : `: ${there.join(", ")}`
          throw new BadFile({
            file: flags.dataset,
            problem: "is a folder",
            remedy: `say which split with --split${which}`
          })
        }
        const files = Option.isNone(split)
          ? [flags.dataset]
          : await splitOf(flags.dataset, { split: split.value, ...(Option.isNone(dir) ? {} : { dir: dir.value }) })
        return profileOf(flags.dataset, files, Option.getOrUndefined(flags.format), signal)
      })
      const page = Option.map(flags.out, (at) => path.resolve(at))
      if (Option.isSome(page)) yield* writePage(page.value, profilePage(profile))
      if (flags.json) return printJson(profile)
      print(profileText(profile, table))
      if (Option.isSome(page)) print(`wrote the profile: ${relative(page.value)}`)
    })
).pipe(
  Command.withDescription("Profile preference data: lengths, duplicates, empty answers, mismatched prompts, languages")
)
