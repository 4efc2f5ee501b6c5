// Tokenises a file of examples, which passes through in batches: by worker threads when there is much of it, here when
// starting them would take longer. The result is the same, and so is the row that an error names.
import { BadFile, BadRow, BadTokens, type DataError } from "@penchant/dsl/Errors"
import type { Example } from "@penchant/dsl/Pair"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import { pairBatches } from "./rowsFile.ts"
import { joinParts, type Tokenised } from "./tokenise.ts"
import { type Part, partTokeniser, type Shape, shapeOf, type TokeniseOptions } from "./tokenisePart.ts"
import type { Answer, WorkerSetUp } from "./tokeniseWorker.ts"
import type { Tokenizer } from "./tokenizer.ts"

/** Examples that one message carries: some 100 ms of work. */
const stride = 256
/** Characters of text that make workers worth their start, about a second of work here. */
const worthwhile = 4_000_000

/** Batches of `stride` examples. */
async function* strides(file: string, signal: AbortSignal): AsyncGenerator<ReadonlyArray<Example>> {
  let held: Array<Example> = []
  for await (const batch of pairBatches(file, signal)) {
    held.push(...batch)
    while (held.length >= stride) {
      yield held.slice(0, stride)
      held = held.slice(stride)
    }
  }
  if (held.length > 0) yield held
}

type Ask = (examples: ReadonlyArray<Example>) => Promise<Part>

/** A worker that answers one batch after the other, and what ends it. */
const worker = (setUp: WorkerSetUp): { readonly ask: Ask; readonly end: () => void } => {
  const thread = new Worker(
    new URL(import.meta.url.endsWith(".ts") ? "./tokeniseWorker.ts" : "./tokeniseWorker.js", import.meta.url),
    { workerData: setUp }
  )
  const waiting: Array<{ readonly resolve: (part: Part) => void; readonly reject: (error: unknown) => void }> = []
  let lost: BadFile | undefined
  const lose = (why: string): void => {
    lost ??= new BadFile({ file: setUp.directory, problem: `a tokenising thread stopped: ${why}` })
    for (const { reject } of waiting.splice(0)) reject(lost)
  }
  thread.on("message", (answer: Answer) => {
    const { reject, resolve } = waiting.shift()!
    if (answer._tag === "Part") resolve(answer.part)
    else reject(answer._tag === "BadTokens" ? new BadTokens(answer.fields) : new BadFile(answer.fields))
  })
  thread.on("error", (error) => lose(error instanceof Error ? error.message : String(error)))
  thread.on("exit", (code) => lose(`exit code ${code}`))
  return {
    ask: (examples) =>
      new Promise((resolve, reject) => {
        if (lost !== undefined) return reject(lost)
        waiting.push({ resolve, reject })
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread, not a window
        thread.postMessage(examples)
      }),
    end: () => void thread.terminate()
  }
}

/** Parts in the order of the batches, at most two batches a worker on their way. */
const byWorkers = async (
  batches: AsyncIterable<ReadonlyArray<Example>>,
  setUp: WorkerSetUp,
  count: number
): Promise<ReadonlyArray<Part>> => {
  const workers = Array.from({ length: count }, () => worker(setUp))
  try {
    const parts: Array<Part> = []
    const asked: Array<Promise<Part>> = []
    let next = 0
    for await (const batch of batches) {
      if (asked.length === 2 * count) parts.push(await asked.shift()!)
      const part = workers[next++ % count]!.ask(batch)
      // It is awaited in its turn; until then its failure must not count as unhandled.
      part.catch(() => undefined)
      asked.push(part)
    }
    for (const part of asked) parts.push(await part)
    return parts
  } finally {
    for (const { end } of workers) end()
  }
}

const here = async (
  batches: AsyncIterable<ReadonlyArray<Example>>,
  tokenise: (examples: ReadonlyArray<Example>) => Result.Result<Part, BadTokens | BadFile>
): Promise<ReadonlyArray<Part>> => {
  const parts: Array<Part> = []
  for await (const batch of batches) {
    parts.push(Result.getOrThrow(tokenise(batch)))
    // Interruption and other fibers get their turn.
    await new Promise((resolve) => setImmediate(resolve))
  }
  return parts
}

async function* replayed(
  first: ReadonlyArray<ReadonlyArray<Example>>,
  rest: AsyncGenerator<ReadonlyArray<Example>>
): AsyncGenerator<ReadonlyArray<Example>> {
  yield* first
  yield* rest
}

const lengthOf = (examples: ReadonlyArray<Example>): number => JSON.stringify(examples).length

const run = async (
  file: string,
  tokenizer: Tokenizer,
  options: TokeniseOptions,
  threads: number | undefined,
  signal: AbortSignal
): Promise<Tokenised> => {
  const batches = strides(file, signal)
  const first: Array<ReadonlyArray<Example>> = []
  let characters = 0
  let shape: Shape = shapeOf(undefined)
  // What is read to learn how much there is, is kept: at most the text that is not worth a worker.
  while (characters < worthwhile) {
    const { done, value } = await batches.next()
    if (done === true) break
    if (first.length === 0) shape = shapeOf(value[0])
    characters += lengthOf(value)
    first.push(value)
  }
  const count = threads ?? (characters < worthwhile ? 0 : Math.min(availableParallelism(), 8))
  const all = replayed(first, batches)
  const parts = count === 0
    ? await here(all, partTokeniser(tokenizer, shape, options))
    : await byWorkers(all, { directory: tokenizer.directory, shape, options }, count)
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
): Effect.Effect<Tokenised, BadTokens | DataError> =>
  Effect.tryPromise({
    try: (signal) => run(file, tokenizer, options, threads, signal),
    catch: (error) => {
      if (error instanceof BadTokens || error instanceof BadFile || error instanceof BadRow) return error
      throw error
    }
  })
