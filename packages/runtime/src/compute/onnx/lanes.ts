// A model's replicas side by side, one thread for each (lanes/).
// A small model gains a quarter over threads inside every operation, which wait for each other thousands of times a run,
// and stays fast on a busy machine. Each lane sums gradients of its own, and the sums meet in the order of the lanes, so
// the numbers depend on how many lanes a model has, never on how many threads run them.
import { decodeOf } from "../../generation/decode.ts"
import { generate } from "../../generation/generate.ts"
import type { GenerateOptions, Prompt, Sample } from "../../generation/Generation.ts"
import type { Batch } from "../Batch.ts"
import { inputsOf, joinTokens, type Part, partsOf, tokensOf } from "../lanes/parts.ts"
import { laneThread } from "../lanes/thread.ts"
import { together } from "../lanes/together.ts"
import { type Network, type Pull, replicaOf, type Vectors } from "./replica.ts"
import type { Sessions } from "./sessions.ts"

/** One lane of one model. */
export interface Lane {
  readonly score: (batch: Batch) => Promise<Float64Array>
  readonly train: (batch: Batch, pull: Pull) => Promise<Float64Array>
  readonly generate: (prompts: ReadonlyArray<Prompt>, options: GenerateOptions) => Promise<ReadonlyArray<Sample>>
  /** A copy of the sum since the last `load`, in the order of the places. */
  readonly gradients: () => Promise<Float32Array>
  /** New weights, which the lane keeps, and gradients of zero. */
  readonly load: (weights: Float32Array) => Promise<void>
  readonly close: () => Promise<void>
}

/** A lane in this thread. It reads `weights` where they are, so loading only clears its gradients. */
export const laneHere = (
  network: Network,
  cache: Sessions,
  vectors: Vectors & { readonly load?: (weights: Float32Array) => void }
): Lane => {
  const replica = replicaOf(network, cache, vectors)
  return {
    score: replica.score,
    train: replica.train,
    generate: async (prompts, options) => generate(replica.decoder(), prompts, options, await decodeOf(options)),
    gradients: async () => vectors.gradients().slice(),
    load: async (weights) => {
      vectors.load?.(weights)
      vectors.gradients().fill(0)
    },
    close: async () => {}
  }
}

/** What a lane's thread is asked, by replica. */
export type LaneRequest =
  & { readonly replica: number }
  & (
    | { readonly verb: "open"; readonly network: Network; readonly weights: Float32Array }
    | { readonly verb: "score"; readonly batch: Batch }
    | { readonly verb: "train"; readonly batch: Batch; readonly pull: Pull }
    | { readonly verb: "generate"; readonly prompts: ReadonlyArray<Prompt>; readonly options: GenerateOptions }
    | { readonly verb: "load"; readonly weights: Float32Array }
    | { readonly verb: "gradients" | "close" }
  )

/** A thread that serves lanes of any number of models. */
export interface LaneHost {
  /** The thread keeps the weights. */
  readonly open: (network: Network, weights: Float32Array) => Lane
  readonly close: () => Promise<void>
}

const file = new URL(import.meta.url.endsWith(".ts") ? "./laneWorker.ts" : "./laneWorker.js", import.meta.url)

export const laneHost = (threads: number): LaneHost => {
  const { ask, close } = laneThread<LaneRequest>(file, { threads })
  let replicas = 0
  return {
    close,
    open: (network, weights) => {
      const replica = replicas++
      const opened = ask({ replica, verb: "open", network, weights }, [weights.buffer as ArrayBuffer])
      const after = async <A>(verb: Promise<unknown>): Promise<A> => {
        await opened
        return await verb as A
      }
      // Each waits for `opened` too, so its failure is never unheard of.
      opened.catch(() => {})
      return {
        score: (batch) => after(ask({ replica, verb: "score", batch })),
        train: (batch, pull) => after(ask({ replica, verb: "train", batch, pull })),
        generate: (prompts, options) => after(ask({ replica, verb: "generate", prompts, options })),
        gradients: () => after(ask({ replica, verb: "gradients" })),
        load: (weights) => after(ask({ replica, verb: "load", weights }, [weights.buffer as ArrayBuffer])),
        close: () => after(ask({ replica, verb: "close" }))
      }
    }
  }
}

const joined = async (
  lanes: ReadonlyArray<Lane>,
  batch: Batch,
  each: (lane: Lane, part: Part) => Promise<Float64Array>
): Promise<Float64Array> => {
  const parts = partsOf(batch, lanes.length)
  return joinTokens(parts, await together(lanes, parts, each))
}

export const scoreTogether = (lanes: ReadonlyArray<Lane>, batch: Batch): Promise<Float64Array> =>
  joined(lanes, batch, (lane, part) => lane.score(part.batch))

export const trainTogether = (lanes: ReadonlyArray<Lane>, batch: Batch, pull: Pull): Promise<Float64Array> =>
  joined(lanes, batch, (lane, part) =>
    lane.train(
      part.batch,
      "inputs" in pull
        ? { inputs: inputsOf(part, pull.inputs), recompute: pull.recompute }
        : { coefficients: tokensOf(part, pull.coefficients), recompute: pull.recompute }
    ))
