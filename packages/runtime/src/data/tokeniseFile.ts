// Tokenises a file of examples, which passes through in batches: by worker threads when there is much of it, here when
// starting them would take longer. The result is the same, and so is the row that an error names.
import { BadFile, BadRow, BadTokens, type DataError, StoreError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import { lineBatches, type Lines, rowsIn } from "./jsonlRows.ts"
import { noRows } from "./rows.ts"
import { examplesIn, uniqueIds } from "./rowsFile.ts"
import { joinParts, type Tokenised } from "./tokenise.ts"
import { type Done, lineTokeniser } from "./tokeniseLines.ts"
import { type Part, type Shape, shapeOf, type TokeniseOptions } from "./tokenisePart.ts"
import type { Answer, WorkerSetUp } from "./tokeniseWorker.ts"
import type { Tokenizer } from "./tokenizer.ts"

/** Characters of lines that make workers worth their start, a second or more of each: some five seconds of work here. */
const worthwhile = 48_000_000

type Ask = (lines: Lines) => Promise<Done>

const errorOf = (answer: Exclude<Answer, { readonly _tag: "Done" }>): BadTokens | BadRow | BadFile =>
  answer._tag === "BadTokens"
    ? new BadTokens(answer.fields)
    : answer._tag === "BadRow"
    ? new BadRow(answer.fields)
    : new BadFile(answer.fields)

/** A worker that answers one batch after the other, and what ends it. */
const worker = (setUp: WorkerSetUp): { readonly ask: Ask; readonly end: () => void } => {
  const thread = new Worker(
    new URL(import.meta.url.endsWith(".ts") ? "./tokeniseWorker.ts" : "./tokeniseWorker.js", import.meta.url),
    { workerData: setUp }
  )
  const waiting: Array<{ readonly resolve: (done: Done) => void; readonly reject: (error: unknown) => void }> = []
  let lost: BadFile | undefined
  const lose = (why: string): void => {
    lost ??= new BadFile({ file: setUp.directory, problem: `a tokenising thread stopped: ${why}` })
    for (const { reject } of waiting.splice(0)) reject(lost)
  }
  thread.on("message", (answer: Answer) => {
    const { reject, resolve } = waiting.shift()!
    if (answer._tag === "Done") resolve(answer.done)
    else reject(errorOf(answer))
  })
  thread.on("error", (error) => lose(error instanceof Error ? error.message : String(error)))
  thread.on("exit", (code) => lose(`exit code ${code}`))
  return {
    ask: (lines) =>
      new Promise((resolve, reject) => {
        if (lost !== undefined) return reject(lost)
        waiting.push({ resolve, reject })
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread, not a window
        thread.postMessage(lines)
      }),
    end: () => void thread.terminate()
  }
}

/** Parts in the order of the batches, at most two batches a worker on their way. */
async function* byWorkers(batches: AsyncIterable<Lines>, setUp: WorkerSetUp, count: number): AsyncGenerator<Done> {
  const workers = Array.from({ length: count }, () => worker(setUp))
  try {
    const asked: Array<Promise<Done>> = []
    let next = 0
    for await (const batch of batches) {
      if (asked.length === 2 * count) yield await asked.shift()!
      const done = workers[next++ % count]!.ask(batch)
      // It is awaited in its turn; until then its failure must not count as unhandled.
      done.catch(() => undefined)
      asked.push(done)
    }
    for (const done of asked) yield await done
  } finally {
    for (const { end } of workers) end()
  }
}

async function* here(batches: AsyncIterable<Lines>, tokenise: (lines: Lines) => Done): AsyncGenerator<Done> {
  for await (const batch of batches) {
    yield tokenise(batch)
    // Interruption and other fibers get their turn.
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function* replayed(first: ReadonlyArray<Lines>, rest: AsyncGenerator<Lines>): AsyncGenerator<Lines> {
  yield* first
  yield* rest
}

const run = async (
  file: string,
  tokenizer: Tokenizer,
  options: TokeniseOptions,
  threads: number | undefined,
  signal: AbortSignal
): Promise<Tokenised> => {
  // A batch is a chunk of the file, some 100 ms of work.
  const batches = lineBatches(file, { first: 0, signal })
  const first: Array<Lines> = []
  let characters = 0
  let shape: Shape | undefined
  // What is read to learn how much there is, is kept: at most the text that is not worth a worker.
  while (characters < worthwhile) {
    const { done, value } = await batches.next()
    if (done === true) break
    shape ??= rowsIn(value) === 0 ? undefined : shapeOf(examplesIn(file)(value)[0])
    for (const { length } of value.texts) characters += length
    first.push(value)
  }
  if (shape === undefined) throw noRows(file)
  const count = threads ?? (characters < worthwhile ? 0 : Math.min(availableParallelism(), 8))
  const all = replayed(first, batches)
  const lines = { file, shape, options }
  const made = count === 0
    ? here(all, lineTokeniser(tokenizer, lines))
    : byWorkers(all, { directory: tokenizer.directory, ...lines }, count)
  const unique = uniqueIds(file, signal)
  const parts: Array<Part> = []
  try {
    for await (const { ids, part } of made) {
      ids.forEach(unique.add)
      parts.push(part)
    }
    await unique.finish()
  } finally {
    unique.close()
  }
  return joinParts(shape, parts)
}

/**
 * Tokens of a `pairs.jsonl`. `threads` overrides how many workers there are; 0 is none. Fails as `tokenisePairs`, or on a
 * line that is no example.
 */
export const tokeniseFile = (
  file: string,
  tokenizer: Tokenizer,
  options: TokeniseOptions,
  threads?: number
): Effect.Effect<Tokenised, BadTokens | DataError | StoreError> =>
  Effect.tryPromise({
    try: (signal) => run(file, tokenizer, options, threads, signal),
    catch: (error) => {
      if (error instanceof BadTokens || error instanceof BadFile) return error
      if (error instanceof BadRow || error instanceof StoreError) return error
      throw error
    }
  })
