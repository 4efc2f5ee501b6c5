// `penchant conformance [DIR]`: recomputes a folder of peers' numbers; one row per check with error, tolerance, pass.
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as Bars from "../platform/Bars.ts"
import { json, print, printJson, table } from "./output.ts"
import { engine, runtimeOptions, set } from "./settings.ts"

/** Numbers of this engine lie outside the peers' tolerance. */
export class NotConformant extends Schema.TaggedError<NotConformant>()("NotConformant", {
  engine: Schema.String,
  failed: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `engine ${this.engine}: ${this.failed.length} check${this.failed.length === 1 ? "" : "s"} failed: ${
      this.failed.join(", ")
    }`
  }
}

/** Both lie at the same place in a checkout whether this runs from `src` or from `dist`. */
const shipped = (at: string): string => fileURLToPath(new URL(`../../${at}`, import.meta.url))

const folder = Argument.String("dir").pipe(
  Argument.withDefault(shipped("test/references")),
  Argument.withDescription("A folder of peers' numbers; default the one that ships")
)
const model = Flag.String("model").pipe(
  Flag.withDefault(shipped("../../data/models/stories260K")),
  Flag.withDescription("The folder of the stories260K model that logprobs.json and training.json are of")
)

const small = (value: number): string => (value === 0 ? "0" : value.toExponential(1))

export const conformance = Command.make(
  "conformance",
  { folder, model, engine, set, json },
  (flags) =>
    Effect.gen(function*() {
      const options = yield* runtimeOptions({
        ...flags,
        home: undefined
      })
      const [{ conformance: recompute }, { layer }] = yield* Effect.promise(() =>
        Promise.all([import("../evaluation/conformance/conformance.ts"), import("../compute/Engines.ts")])
      )
      const { checks, skipped } = yield* recompute({
        folder: path.resolve(flags.folder),
        model: path.resolve(flags.model)
      }).pipe(
        Effect.provide(Layer.merge(layer(flags.engine, options), Bars.layer))
      )
      const failed = checks.filter(({ pass }) => !pass).map(({ name }) => name)
      if (flags.json) printJson({ engine: flags.engine, checks, skipped })
      else {
        print(table(
          ["check", "error", "tolerance", ""],
          checks.map(({ error, name, pass, tolerance }) => [name, small(error), small(tolerance), pass ? "✓" : "✗"]),
          [1, 2]
        ))
        if (skipped.length > 0) {
          print("")
          print(table(["skipped", "why"], skipped.map(({ name, why }) => [name, why])))
        }
        print(
          `\n${
            checks.length - failed.length
          } of ${checks.length} checks passed on ${flags.engine}, ${skipped.length} skipped`
        )
      }
      if (failed.length > 0) return yield* new NotConformant({ engine: flags.engine, failed })
    })
).pipe(
  Command.withDescription("Recompute peers' numbers on an engine, and say which differ by more than their tolerance")
)
