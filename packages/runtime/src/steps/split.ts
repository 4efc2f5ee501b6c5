// One part of a split; the other parts are other steps, cut by the same rule.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { numbersOf } from "../data/examplesFile.ts"
import { typed } from "../data/rows.ts"
import { place, splitParts } from "../data/split.ts"
import { examplesFile, keptOf } from "./examples.ts"
import { parametersOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

const Parameters = Schema.Struct({
  parts: Schema.Array(
    Schema.Struct({ name: Schema.String, size: Schema.Union([Schema.Finite, Schema.Literal("rest")]) })
  ),
  part: Schema.String,
  by: Schema.Literals(["firstTurn", "prompt", "row"]),
  seed: Schema.Int
})

export const split: Implementation = {
  computes: false,
  run: Effect.fn("split")(function*(job) {
    const { by, part, parts, seed } = parametersOf(job, Parameters)
    const file = yield* examplesFile(job, "pairs")
    const places = yield* typed((signal) => numbersOf(file, place(by, seed), signal))
    const partOf = yield* Effect.fromResult(splitParts(places, by, parts))
    const mine = parts.findIndex(({ name }) => name === part)
    const sizes = Object.fromEntries(parts.map(({ name }, index) => [name, partOf.filter((at) => at === index).length]))
    return yield* keptOf(job, file, (index) => partOf[index] === mine, () => ({
      of: places.length,
      parts: sizes,
      inNoPart: partOf.filter((at) => at === -1).length
    }))
  })
}
