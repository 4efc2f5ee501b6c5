// The first of all examples that say the same, whatever its case and white space; the others are listed in report.json.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { duplicates } from "../data/duplicates.ts"
import { typed } from "../data/rows.ts"
import { pairBatches } from "../data/rowsFile.ts"
import { examplesFile, keptOf } from "./examples.ts"
import { parametersOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

const Parameters = Schema.Struct({ by: Schema.Literals(["pair", "prompt"]) })

export const dedupe: Implementation = {
  computes: false,
  run: Effect.fn("dedupe")(function*(job) {
    const { by } = parametersOf(job, Parameters)
    const file = yield* examplesFile(job, "pairs")
    const { firstOf, of } = yield* typed((signal) => duplicates(file, by, signal))
    // Ids of what is dropped and of what it repeats.
    const named = new Map<number, string>([...firstOf].flat().map((index) => [index, ""]))
    yield* typed(async (signal) => {
      let index = 0
      for await (const batch of pairBatches(file, signal)) {
        for (const { id } of batch) {
          if (named.has(index)) named.set(index, id)
          index += 1
        }
      }
    })
    const repeats = Object.fromEntries([...firstOf].map(([index, first]) => [named.get(index)!, named.get(first)!]))
    return yield* keptOf(job, file, (index) => !firstOf.has(index), () => ({
      of,
      dropped: { [`${by} seen before`]: Object.keys(repeats) },
      repeats
    }))
  })
}
