// Which questions of a benchmark share a run of words with what a model was trained on. Nothing is left out: see decontaminate.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { overlaps, type Text } from "../data/overlap.ts"
import { typed } from "../data/rows.ts"
import { pairBatches } from "../data/rowsFile.ts"
import { evaluationOf, textsOf } from "./decontaminate.ts"
import { examplesFile } from "./examples.ts"
import { folderOf, json, parametersOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

const Parameters = Schema.Struct({ word: Schema.String, words: Schema.Int })

/** Rows of training named for each question. */
const mostNamed = 3

export const contamination: Implementation = {
  computes: false,
  run: Effect.fn("contamination")(function*(job) {
    const { word, words } = parametersOf(job, Parameters)
    const named = (prefix: string) => Object.keys(job.inputs).filter((name) => name.startsWith(prefix))
    const questions: Array<Text> = []
    for (const name of named("against/")) {
      const folder = yield* folderOf(job, name)
      questions.push(...(yield* typed((signal) => evaluationOf(job, name, folder, [], signal))))
    }
    const { find, tooShort } = overlaps(questions, words)
    const found: Record<string, Array<string>> = {}
    for (const name of named("training/")) {
      const file = yield* examplesFile(job, name)
      yield* typed(async (signal) => {
        for await (const batch of pairBatches(file, signal)) {
          for (const example of batch) {
            for (const question of find(textsOf(example))) {
              const rows = found[question] ??= []
              if (rows.length < mostNamed) rows.push(example.id)
            }
          }
        }
      })
    }
    const contaminated = Object.keys(found).length
    return {
      kind: "Scores",
      meta: { [`${word}Contaminated`]: contaminated },
      files: {
        "contamination.json": json({
          words,
          questions: questions.length,
          tooShort: tooShort.length,
          contaminated,
          found
        })
      }
    }
  })
}
