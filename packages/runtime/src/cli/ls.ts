// `penchant ls`: the latest result under every label.
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CurrentHome } from "../experiment/Home.ts"
import { ls as listed } from "../experiment/listing.ts"
import { duration } from "../platform/duration.ts"
import { homeDirectory } from "../platform/home.ts"
import { json, print, printJson, table } from "./output.ts"
import { home } from "./settings.ts"

const prefix = Argument.String("prefix").pipe(
  Argument.withDefault(""),
  Argument.withDescription("Only labels that begin like this")
)

const bytes = (n: number): string =>
  n < 1e3 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toFixed(1)} kB` : `${(n / 1e6).toFixed(1)} MB`
const when = (time: number): string => new Date(time).toISOString().slice(0, 16).replace("T", " ")

export const ls = Command.make("ls", { prefix, home, json }, (flags) =>
  Effect.gen(function*() {
    const { ledger } = yield* CurrentHome
    const rows = (yield* listed(ledger)).filter(({ label }) => label.startsWith(flags.prefix))
    if (flags.json) return printJson(rows)
    if (rows.length === 0) return print("no results yet; penchant run FILE makes some")
    print(table(
      ["label", "kind", "digest", "size", "took", "made (UTC)"],
      rows.map((
        row
      ) => [row.label, row.kind, row.digest.slice(0, 12), bytes(row.bytes), duration(row.seconds), when(row.finished)]),
      [3, 4]
    ))
  }).pipe(Effect.provide(CurrentHome.layer(homeDirectory(Option.getOrUndefined(flags.home))))))
  .pipe(Command.withDescription("List results: label, kind, digest, size"))
