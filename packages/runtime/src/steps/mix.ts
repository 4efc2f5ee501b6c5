// Several sets of examples as one, in given shares. Each gives a seeded sample without repetition; ids carry its name.
import { BadFile } from "@penchant/dsl/Errors"
import type { Example } from "@penchant/dsl/Pair"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { numbersOf } from "../data/examplesFile.ts"
import { typed } from "../data/rows.ts"
import { exampleLine, pairBatches } from "../data/rowsFile.ts"
import { sharesOf } from "../data/shares.ts"
import { place } from "../data/split.ts"
import { examplesFile, pairsOf } from "./examples.ts"
import { parametersOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

const Parameters = Schema.Struct({
  weights: Schema.Array(Schema.Struct({ name: Schema.String, weight: Schema.Finite })),
  count: Schema.optionalKey(Schema.Int),
  seed: Schema.Int
})

/** The place below which exactly `count` of the places lie. */
const threshold = (places: Float64Array, count: number): number =>
  count >= places.length ? Infinity : places.toSorted()[count]!

const named = (example: Example, source: string, columns: ReadonlyArray<string>): Example => ({
  ...example,
  id: `${source}/${example.id}`,
  columns: Object.fromEntries(columns.map((column) => [column, example.columns[column]!]))
})

export const mix: Implementation = {
  computes: false,
  run: Effect.fn("mix")(function*(job) {
    const { count, seed, weights } = parametersOf(job, Parameters)
    const sources = yield* Effect.forEach(weights, ({ name, weight }) =>
      Effect.gen(function*() {
        const file = yield* examplesFile(job, name)
        const places = yield* typed((signal) => numbersOf(file, place("row", seed), signal))
        return { name, weight, file, places }
      }))
    const shares = sharesOf(sources.map(({ name, places, weight }) => ({ name, weight, has: places.length })), count)
    if (typeof shares === "string") return yield* new BadFile({ file: job.label, problem: shares })
    // Columns that one of them lacks would be missing in the middle of a training.
    let columns: ReadonlyArray<string> | undefined
    for (const { file } of sources) {
      const first = yield* typed(async (signal) => {
        for await (const [example] of pairBatches(file, signal)) return Object.keys(example?.columns ?? {})
        return []
      })
      columns = columns === undefined ? first : columns.filter((name) => first.includes(name))
    }
    const common = columns ?? []
    return yield* pairsOf(
      job,
      async function*(signal) {
        for (const [index, { file, name, places }] of sources.entries()) {
          const below = threshold(places, shares[index]!)
          let at = 0
          for await (const batch of pairBatches(file, signal)) {
            yield batch.filter(() => places[at++]! < below).map((example) => named(example, name, common))
          }
        }
      },
      exampleLine,
      () => ({
        sources: Object.fromEntries(
          sources.map(({ name, places }, i) => [name, { of: places.length, taken: shares[i] }])
        )
      })
    )
  })
}
