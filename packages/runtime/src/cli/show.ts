// `penchant show RESULT`: one result with its files, its numbers, and everything it was made from.
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CurrentHome } from "../experiment/Home.ts"
import { show as shown } from "../experiment/listing.ts"
import { duration } from "../platform/duration.ts"
import { homeDirectory } from "../platform/home.ts"
import { json, print, printJson, table } from "./output.ts"
import { home } from "./settings.ts"

const result = Argument.String("result").pipe(
  Argument.withDescription("A label, a digest, or the first six or more letters of a digest")
)

const short = (value: unknown): string => {
  const text = JSON.stringify(value)
  return text.length <= 100 ? text : `${text.slice(0, 99)}…`
}

export const show = Command.make("show", { result, home, json }, (flags) =>
  Effect.gen(function*() {
    const { ledger, store } = yield* CurrentHome
    const { digest, labels, made, manifest } = yield* shown(ledger, flags.result)
    const { files } = yield* store.open(digest)
    if (flags.json) return printJson({ digest, labels, manifest, made, files })
    print(`${manifest.kind} ${digest}`)
    if (labels.length > 0) print(`called ${labels.join(", ")}`)
    for (const [name, value] of Object.entries(manifest.meta)) print(`  ${name}: ${short(value)}`)
    print("")
    print(
      table(
        ["file", "bytes", "at"],
        manifest.files.map((file) => [file.name, String(file.bytes), files[file.name] ?? ""]),
        [1]
      )
    )
    for (const { actionKey, environment, finished, kind, parts, seconds } of made) {
      print(
        `\nmade by step ${kind} in ${duration(seconds)}, ${new Date(finished).toISOString()}, on ${
          String(environment["cpu"])
        }`
      )
      print(`  action key ${actionKey}`)
      print(`  parameters ${short(parts.parameters)}`)
      for (const [name, source] of Object.entries(parts.sources)) print(`  source ${name}: ${source.path}`)
      for (const [name, input] of Object.entries(parts.inputs)) {
        print(`  input ${name}: ${input.label} (${input.digest.slice(0, 12)})`)
      }
      if (parts.numerics !== undefined) print(`  numerics ${short(parts.numerics)}`)
      print(`  code ${parts.code.slice(0, 12)}`)
    }
  }).pipe(Effect.provide(CurrentHome.layer(homeDirectory(Option.getOrUndefined(flags.home))))))
  .pipe(Command.withDescription("Show one result: its files, numbers, and what it was made from"))
