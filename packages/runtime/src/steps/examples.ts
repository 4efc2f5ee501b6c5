// What the steps that choose among examples share: where their input lies, and how they leave what they kept.
import type { DataError, StoreError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as path from "node:path"
import { linesKept } from "../data/examplesFile.ts"
import { writeLines } from "../data/linesFile.ts"
import { typed } from "../data/rows.ts"
import { folderOf, json } from "./files.ts"
import type { Job, Output } from "./Implementation.ts"

/** The file of examples of an input. */
export const examplesFile = (job: Job, name: string): Effect.Effect<string, StoreError> =>
  Effect.map(folderOf(job, name), (folder) => path.join(folder, "pairs.jsonl"))

/** What report.json says besides the number of pairs. */
type Report = Readonly<Record<string, unknown>> & {
  readonly dropped?: Readonly<Record<string, ReadonlyArray<string>>>
}

/** Pairs written to scratch, batch by batch, as an artifact with a report. */
export const pairsOf = <A>(
  job: Job,
  batches: (signal: AbortSignal) => AsyncIterable<ReadonlyArray<A>>,
  line: (value: A) => string,
  report: () => Report
): Effect.Effect<Output, DataError | StoreError> => {
  const at = path.join(job.scratch, "pairs.jsonl")
  return Effect.map(typed((signal) => writeLines(at, batches(signal), line)), (count): Output => {
    const said = report()
    return {
      kind: "Pairs",
      meta: { count, dropped: said.dropped ?? {} },
      files: { "pairs.jsonl": { path: at }, "report.json": json({ pairs: count, ...said }) }
    }
  })
}

/** The examples of a file for which `keep` says so of their index. */
export const keptOf = (
  job: Job,
  file: string,
  keep: (index: number) => boolean,
  report: () => Report
): Effect.Effect<Output, DataError | StoreError> =>
  pairsOf(job, (signal) => linesKept(file, keep, signal), (line) => line, report)
