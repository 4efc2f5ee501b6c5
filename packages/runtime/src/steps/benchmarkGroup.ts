// The number of several benchmark tasks of one shape, each a step of its own: another task asks none of the others again.
import { BadFile } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { grouped } from "../evaluation/tasks/results.ts"
import { named } from "./benchmark.ts"
import { json, metaOf, parametersOf, resultsIn } from "./files.ts"
import type { Implementation } from "./Implementation.ts"
import { Numbers } from "./scores.ts"

const Parameters = Schema.Struct({ task: Schema.String, numbers: Schema.Record(Schema.String, Schema.String) })

/** Sums over the tasks; those of which there are none say 0. */
const facts = ["Questions", "Rows", "Cut", "Unknown", "HandWritten", "TextAlone"]

export const benchmarkGroup: Implementation = {
  computes: false,
  run: Effect.fn("benchmarkGroup")(function*(job) {
    const { numbers, task } = parametersOf(job, Parameters)
    const inputs = Object.values(job.inputs)
    if (inputs.length === 0) {
      return yield* new BadFile({ file: task, problem: "has no subset", remedy: "give it the rows of one at least" })
    }
    const tasks = (yield* Effect.forEach(inputs, resultsIn)).filter((results) => results !== undefined)
    const results = grouped(task, Object.values(numbers), tasks)
    const word = Object.keys(numbers)[0]!
    const sum = (name: string): number =>
      inputs.reduce((total, input) => total + (metaOf(input, Numbers)[`${word}${name}`] ?? 0), 0)
    return {
      kind: "Scores",
      meta: {
        ...named(numbers, results.results[task]!),
        ...Object.fromEntries(facts.map((name) => [word + name, sum(name)]))
      },
      files: { "results.json": json(results) }
    }
  })
}
