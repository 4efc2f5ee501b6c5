// Replicas side by side on a CPU: each batch is cut into as many parts as there are lanes, one thread runs each, and each sums
// gradients of its own. Threads inside every operation wait for each other thousands of times a step, spinning, which costs
// a small model half of its time and, where other work shares the machine, nearly all of it. Weights are read where they are.
import type { GenerateOptions, Prompt, Sample } from "../../generation/Generation.ts"
import type { Batch } from "../Batch.ts"
import { laneThread } from "../lanes/thread.ts"
import type { Installation } from "./discovery.ts"
import type { Network, Replica } from "./replica.ts"

/** More lanes than this gain little: pairs are dealt to them whole. */
const most = 8
/** Elements of the gradients of all lanes but the first: 1 GiB. */
const room = 2 ** 28

/** For so many threads and trained parameters. */
export const laneCount = (threads: number, trained: number): number =>
  Math.max(1, Math.min(threads, most, 1 + Math.floor(room / Math.max(1, trained))))

export interface Lane {
  /** `threads`: inside of operations. */
  readonly score: (batch: Batch, threads: number) => Promise<Float64Array>
  readonly forward: (batch: Batch, threads: number, recompute: boolean) => Promise<Float64Array>
  readonly backward: (coefficients: Float64Array) => Promise<void>
  readonly generate: (
    prompts: ReadonlyArray<Prompt>,
    options: GenerateOptions,
    threads: number
  ) => Promise<ReadonlyArray<Sample>>
  readonly forget: () => Promise<void>
  readonly close: () => Promise<void>
}

/** A lane in this thread. */
export const laneOf = (replica: Replica, setThreads: (threads: number) => void): Lane => ({
  score: async (batch, threads) => {
    setThreads(threads)
    return replica.score(batch)
  },
  forward: async (batch, threads, recompute) => {
    setThreads(threads)
    return replica.forward(batch, recompute)
  },
  backward: async (coefficients) => replica.backward(coefficients),
  generate: (prompts, options, threads) => {
    setThreads(threads)
    return replica.generate(prompts, options)
  },
  forget: async () => replica.forget(),
  close: async () => replica.close()
})

type Verb = keyof Lane
/** What a lane's thread is asked, by replica: to open one, or a lane's verb with its arguments. */
export type LaneRequest =
  & { readonly replica: number }
  & (
    | { readonly verb: "open"; readonly network: Network }
    | { readonly [V in Verb]: { readonly verb: V; readonly ask: Parameters<Lane[V]> } }[Verb]
  )

/** What a lane's thread begins with; `live` counts the tensors of all threads. */
export interface LaneData {
  readonly installation: Installation
  readonly live: Int32Array
}

/** A thread that serves lanes of any number of models. */
export interface LaneHost {
  readonly open: (network: Network) => Lane
  readonly close: () => Promise<void>
}

const file = new URL(import.meta.url.endsWith(".ts") ? "./laneWorker.ts" : "./laneWorker.js", import.meta.url)

export const laneHost = (data: LaneData): LaneHost => {
  const { ask, close } = laneThread<LaneRequest>(file, data)
  let replicas = 0
  return {
    close,
    open: (network) => {
      const replica = replicas++
      const opened = ask({ replica, verb: "open", network })
      // Each verb waits for it too, so its failure is never unheard of.
      opened.catch(() => {})
      const verb = <V extends Verb>(verb: V) => async (...given: Parameters<Lane[V]>) => {
        const answer = ask({ replica, verb, ask: given } as unknown as LaneRequest)
        await opened
        return await answer as never
      }
      return {
        score: verb("score"),
        forward: verb("forward"),
        backward: verb("backward"),
        generate: verb("generate"),
        forget: verb("forget"),
        close: verb("close")
      }
    }
  }
}
