// A worker thread that tokenises lines of examples: it loads the tokenizer once, and answers in the order it is asked.
import { BadFile, BadRow, BadTokens } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import { parentPort, workerData } from "node:worker_threads"
import type { Lines } from "./jsonlRows.ts"
import { type Done, type LinesOptions, lineTokeniser } from "./tokeniseLines.ts"
import { buffersOf } from "./tokenisePart.ts"
import { loadTokenizer } from "./tokenizer.ts"

export interface WorkerSetUp extends LinesOptions {
  readonly directory: string
}

/** An error without its class, which does not survive the way between threads. */
export type Answer =
  | { readonly _tag: "Done"; readonly done: Done }
  | { readonly _tag: "BadTokens"; readonly fields: ConstructorParameters<typeof BadTokens>[0] }
  | { readonly _tag: "BadRow"; readonly fields: ConstructorParameters<typeof BadRow>[0] }
  | { readonly _tag: "BadFile"; readonly fields: ConstructorParameters<typeof BadFile>[0] }

const { directory, ...options } = workerData as WorkerSetUp
const tokenise = lineTokeniser(await Effect.runPromise(loadTokenizer(directory)), options)

const answerOf = (lines: Lines): Answer => {
  try {
    return { _tag: "Done", done: tokenise(lines) }
  } catch (error) {
    if (error instanceof BadTokens || error instanceof BadRow || error instanceof BadFile) {
      return { _tag: error._tag, fields: { ...error } } as Answer
    }
    throw error
  }
}

parentPort!.on("message", (lines: Lines) => {
  const answer = answerOf(lines)
  parentPort!.postMessage(answer, answer._tag === "Done" ? buffersOf(answer.done.part) : [])
})
