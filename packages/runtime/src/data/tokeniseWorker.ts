// A worker thread that tokenises batches of examples: it loads the tokenizer once, and answers in the order it is asked.
import type { Example } from "@penchant/dsl/Pair"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { parentPort, workerData } from "node:worker_threads"
import { type Part, partTokeniser, type Shape, type TokeniseOptions } from "./tokenisePart.ts"
import { loadTokenizer } from "./tokenizer.ts"

export interface WorkerSetUp {
  readonly directory: string
  readonly shape: Shape
  readonly options: TokeniseOptions
}

/** An error without its class, which does not survive the way between threads. */
export type Answer =
  | { readonly _tag: "Part"; readonly part: Part }
  | { readonly _tag: "BadTokens"; readonly fields: { readonly row: string; readonly problem: string } }
  | {
    readonly _tag: "BadFile"
    readonly fields: { readonly file: string; readonly problem: string; readonly remedy?: string }
  }

const { directory, options, shape } = workerData as WorkerSetUp
const tokenise = partTokeniser(await Effect.runPromise(loadTokenizer(directory)), shape, options)

const answerOf = (examples: ReadonlyArray<Example>): Answer =>
  Result.match(tokenise(examples), {
    onSuccess: (part) => ({ _tag: "Part", part }),
    onFailure: (error) =>
      error._tag === "BadTokens"
        ? { _tag: "BadTokens", fields: { row: error.row, problem: error.problem } }
        : {
          _tag: "BadFile",
          fields: {
            file: error.file,
            problem: error.problem,
            ...(error.remedy === undefined ? {} : { remedy: error.remedy })
          }
        }
  })

parentPort!.on("message", (examples: ReadonlyArray<Example>) => {
  const answer = answerOf(examples)
  parentPort!.postMessage(answer, answer._tag === "Part" ? [answer.part.tokens.buffer] : [])
})
