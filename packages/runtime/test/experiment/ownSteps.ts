// Steps of one's own, as a user's module has them.
import type { Kind } from "@penchant/dsl/Artifact"
import { kind, step, Workspace } from "@penchant/dsl/Custom"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as path from "node:path"

export interface Lines extends Kind {
  readonly _tag: "Lines"
  readonly meta: { readonly count: number }
}
const lines = kind<Lines>("Lines")

export class NoLines extends Schema.TaggedError<NoLines>()("NoLines", { file: Schema.String }) {}

/** Keeps the first of equal lines. */
export const dedupe = step(import.meta, "dedupe", {
  inputs: { rows: lines },
  parameters: Schema.Struct({ file: Schema.String, atLeast: Schema.Int }),
  output: lines,
  determinism: "bitwise",
  run: Effect.fnUntraced(function*({ inputs, parameters }) {
    const { directory, open } = yield* Workspace
    const from = yield* Effect.orDie(open(inputs.rows))
    const kept = new Set(fs.readFileSync(path.join(from, parameters.file), "utf8").split("\n"))
    if (kept.size < parameters.atLeast) return yield* new NoLines({ file: parameters.file })
    fs.mkdirSync(path.join(directory, "sub"))
    fs.writeFileSync(path.join(directory, "sub", "lines.txt"), [...kept].join("\n"))
    return { count: kept.size }
  })
})

const simple = (name: string, run: () => Effect.Effect<{ readonly count: number }>) =>
  step(import.meta, name, { inputs: {}, parameters: Schema.Struct({}), output: lines, determinism: "none", run })

export const throws = simple("throws", () => Effect.sync(() => JSON.parse("{") as never))
export const notANumber = simple("notANumber", () => Effect.succeed({ count: Number.NaN }))
/** Its name is not that of the export. */
export const misnamed = simple("misspelt", () => Effect.succeed({ count: 1 }))
