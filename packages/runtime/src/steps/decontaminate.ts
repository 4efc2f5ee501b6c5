// Examples that share a run of words with an evaluation set are left out, and listed with what they share it with.
import { BadFile } from "@penchant/dsl/Errors"
import { answersOf, type Content, type Example } from "@penchant/dsl/Pair"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as path from "node:path"
import { overlaps, type Text } from "../data/overlap.ts"
import { rowBatches, typed } from "../data/rows.ts"
import { pairBatches } from "../data/rowsFile.ts"
import { examplesFile, keptOf } from "./examples.ts"
import { folderOf, parametersOf } from "./files.ts"
import type { Implementation, Job } from "./Implementation.ts"

const Parameters = Schema.Struct({ words: Schema.Int, fields: Schema.Array(Schema.String) })

const textOf = (content: Content): string =>
  typeof content === "string" ? content : content.map((message) => message.content).join("\n")

/** Prompt and answers. */
export const textsOf = (example: Example): string =>
  [example.prompt, ...answersOf(example).map(([, answer]) => answer)].map(textOf).join("\n")

/** The texts of an evaluation set: the named fields of rows, or the prompts of pairs. Ids carry the input's name. */
export const evaluationOf = async (
  job: Job,
  name: string,
  folder: string,
  fields: ReadonlyArray<string>,
  signal: AbortSignal
): Promise<ReadonlyArray<Text>> => {
  const label = name.slice("against/".length)
  const texts: Array<Text> = []
  if (job.inputs[name]!.kind === "Pairs") {
    for await (const batch of pairBatches(path.join(folder, "pairs.jsonl"), signal)) {
      for (const { id, prompt } of batch) texts.push({ id: `${label}/${id}`, text: textOf(prompt) })
    }
    return texts
  }
  for await (const batch of rowBatches<object>([path.join(folder, "rows.jsonl")], undefined, signal)) {
    for (const { id, row } of batch) {
      const found = Object.entries(row).filter(([field, value]) =>
        typeof value === "string" && (fields.length === 0 || fields.includes(field))
      )
      if (found.length === 0) {
        throw new BadFile({
          file: `${job.label}, "${label}"`,
          problem: `row ${id} has no text in ${fields.length === 0 ? "any field" : fields.join(", ")}`
        })
      }
      texts.push({ id: `${label}/${id}`, text: found.map(([, value]) => value).join("\n") })
    }
  }
  return texts
}

export const decontaminate: Implementation = {
  computes: false,
  run: Effect.fn("decontaminate")(function*(job) {
    const { fields, words } = parametersOf(job, Parameters)
    const file = yield* examplesFile(job, "pairs")
    const evaluation: Array<Text> = []
    for (const name of Object.keys(job.inputs).filter((name) => name.startsWith("against/"))) {
      const folder = yield* folderOf(job, name)
      evaluation.push(...(yield* typed((signal) => evaluationOf(job, name, folder, fields, signal))))
    }
    const { find, tooShort } = overlaps(evaluation, words)
    const shared: Record<string, ReadonlyArray<string>> = {}
    const left = new Set<number>()
    const of = yield* typed(async (signal) => {
      let index = 0
      for await (const batch of pairBatches(file, signal)) {
        for (const example of batch) {
          const found = find(textsOf(example))
          if (found.length > 0) {
            left.add(index)
            shared[example.id] = found
          }
          index += 1
        }
      }
      return index
    })
    return yield* keptOf(job, file, (index) => !left.has(index), () => ({
      of,
      evaluation: evaluation.length,
      tooShort: tooShort.length,
      dropped: { [`${words} words of the evaluation set`]: Object.keys(shared) },
      shared
    }))
  })
}
