// A model's replicas side by side: each batch is cut into as many parts as there are lanes, one thread runs each.
// A small model gains a quarter over threads inside every operation, which wait for each other thousands of times a run,
// and stays fast on a busy machine. Each lane sums gradients of its own, and the sums meet in the order of the lanes, so
// the numbers depend on how many lanes a model has, never on how many threads run them.
import { Worker } from "node:worker_threads"
import { decodeOf } from "../../generation/decode.ts"
import { generate } from "../../generation/generate.ts"
import type { GenerateOptions, Prompt, Sample } from "../../generation/Generation.ts"
import type { Batch } from "../Batch.ts"
import { inputsOf, joinTokens, type Part, partsOf, tokensOf } from "./parts.ts"
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
  & { readonly id: number; readonly replica: number }
  & (
    | { readonly verb: "open"; readonly network: Network; readonly weights: Float32Array }
    | { readonly verb: "score"; readonly batch: Batch }
    | { readonly verb: "train"; readonly batch: Batch; readonly pull: Pull }
    | { readonly verb: "generate"; readonly prompts: ReadonlyArray<Prompt>; readonly options: GenerateOptions }
    | { readonly verb: "load"; readonly weights: Float32Array }
    | { readonly verb: "gradients" | "close" }
  )
export type LaneReply = { readonly id: number } & ({ readonly answer: unknown } | { readonly problem: string })

/** A thread that serves lanes of any number of models, one request at a time. */
export interface LaneThread {
  /** The thread keeps the weights. */
  readonly open: (network: Network, weights: Float32Array) => Lane
  readonly close: () => Promise<void>
}

const file = new URL(import.meta.url.endsWith(".ts") ? "./laneWorker.ts" : "./laneWorker.js", import.meta.url)

export const laneThread = (threads: number): LaneThread => {
  const worker = new Worker(file, { workerData: { threads } })
  const pending = new Map<
    number,
    { readonly resolve: (answer: unknown) => void; readonly reject: (error: Error) => void }
  >()
  let lost: Error | undefined
  let next = 0
  let replicas = 0
  const lose = (error: Error): void => {
    lost ??= error
    for (const { reject } of pending.values()) reject(lost)
    pending.clear()
  }
  worker.on("error", lose)
  worker.on("exit", (code) => lose(new Error(`a lane's thread ended with code ${code}`)))
  worker.on("message", (reply: LaneReply) => {
    const asked = pending.get(reply.id)
    pending.delete(reply.id)
    if (pending.size === 0) worker.unref()
    if ("problem" in reply) asked?.reject(new Error(reply.problem))
    else asked?.resolve(reply.answer)
  })
  // A thread keeps the process while something waits for it, no longer.
  worker.unref()
  type Ask = LaneRequest extends infer R ? R extends LaneRequest ? Omit<R, "id" | "replica"> : never : never
  const ask = (replica: number, request: Ask, transfer: ReadonlyArray<ArrayBuffer> = []): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (lost !== undefined) return reject(lost)
      const id = next++
      pending.set(id, { resolve, reject })
      worker.ref()
      worker.postMessage({ ...request, id, replica }, transfer)
    })
  return {
    open: (network, weights) => {
      const replica = replicas++
      const opened = ask(replica, { verb: "open", network, weights }, [weights.buffer as ArrayBuffer])
      const after = async <A>(verb: Promise<unknown>): Promise<A> => {
        await opened
        return await verb as A
      }
      // Each waits for `opened` too, so its failure is never unheard of.
      opened.catch(() => {})
      return {
        score: (batch) => after(ask(replica, { verb: "score", batch })),
        train: (batch, pull) => after(ask(replica, { verb: "train", batch, pull })),
        generate: (prompts, options) => after(ask(replica, { verb: "generate", prompts, options })),
        gradients: () => after(ask(replica, { verb: "gradients" })),
        load: (weights) => after(ask(replica, { verb: "load", weights }, [weights.buffer as ArrayBuffer])),
        close: () => after(ask(replica, { verb: "close" }))
      }
    },
    close: async () => void await worker.terminate()
  }
}

/** Runs the parts of a batch, those of other threads first on their way, then those here. */
const together = async (
  lanes: ReadonlyArray<Lane>,
  batch: Batch,
  each: (lane: Lane, part: Part) => Promise<Float64Array>
): Promise<Float64Array> => {
  const parts = partsOf(batch, lanes.length)
  const shares = parts.map((part, p) => [lanes[p]!, part] as const).toReversed().map(([lane, part]) => each(lane, part))
  return joinTokens(parts, (await Promise.all(shares)).toReversed())
}

export const scoreTogether = (lanes: ReadonlyArray<Lane>, batch: Batch): Promise<Float64Array> =>
  together(lanes, batch, (lane, part) => lane.score(part.batch))

export const trainTogether = (lanes: ReadonlyArray<Lane>, batch: Batch, pull: Pull): Promise<Float64Array> =>
  together(lanes, batch, (lane, part) =>
    lane.train(
      part.batch,
      "inputs" in pull
        ? { inputs: inputsOf(part, pull.inputs), recompute: pull.recompute }
        : { coefficients: tokensOf(part, pull.coefficients), recompute: pull.recompute }
    ))

/** Prompts go to the lanes in turn, so that each has as many, of about the same lengths when these are sorted. */
export const generateTogether = async (
  lanes: ReadonlyArray<Lane>,
  prompts: ReadonlyArray<Prompt>,
  options: GenerateOptions
): Promise<ReadonlyArray<Sample>> => {
  const shares = lanes.map((lane, l) => [lane, prompts.filter((_, p) => p % lanes.length === l)] as const)
  const made = await Promise.all(
    shares.toReversed().map(([lane, share]) => share.length === 0 ? [] : lane.generate(share, options))
  ).then((parts) => parts.toReversed())
  return prompts.flatMap((_, p) => {
    const at = Math.floor(p / lanes.length) * options.samples
    return made[p % lanes.length]!.slice(at, at + options.samples)
  })
}
