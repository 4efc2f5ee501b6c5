// The onnx engine: graphs written as ONNX models and run by onnxruntime on the CPU, from npm alone.
// One run scores, or goes forward and backward, adding gradients to sums in the parameters' memory; outputs are copied by
// onnxruntime, so saved activations never leave a run: after `forward`, `backward` runs forward again inside.
import { availableParallelism } from "node:os"
import type { Backend, BackendModule, BackendSession } from "../Backend.ts"
import type { Batch } from "../Batch.ts"
import { generateTogether, settled } from "../lanes/together.ts"
import { numerics } from "../numerics.ts"
import { laneCount } from "./laneCount.ts"
import { type Lane, laneHere, type LaneHost, laneHost, scoreTogether, trainTogether } from "./lanes.ts"
import { canFuse } from "./objective.ts"
import { parametersOf } from "./Parameters.ts"
import type { Network, Pull } from "./replica.ts"
import { type Sessions, sessions } from "./sessions.ts"

/** What the sessions of one engine share. */
interface Shared {
  readonly threads: number
  readonly sessions: (threads: number) => Sessions
  readonly laneHost: (threads: number) => LaneHost
}

const open = (shared: Shared): Backend["open"] => async (model, options) => {
  const parameters = parametersOf(model, options.optimiser)
  const loss = options.fused !== undefined && canFuse(options.fused) ? options.fused : undefined
  const { parameters: _, ...layout } = model
  const { places, trained, trainedLength } = parameters
  const network: Network = { model: layout, places, trained, trainedLength, loss }
  const count = laneCount(model.parameters.length)
  const perLane = Math.max(1, Math.floor(shared.threads / count))
  const weights = () => parameters.vector("parameters")
  const gradients = () => parameters.vector("gradients")
  const here = shared.sessions(count === 1 ? shared.threads : perLane)
  const first = laneHere(network, here, { weights, gradients })
  const others = Array.from({ length: count - 1 }, (): Lane => {
    if (shared.threads > 1) return shared.laneHost(perLane).open(network, weights().slice())
    const own = new Float32Array(trainedLength)
    return laneHere(network, here, { weights, gradients: () => own })
  })
  const lanes = [first, ...others]
  /** Adds the other lanes' sums, in order. */
  const gather = async (to: Float32Array): Promise<void> => {
    for (const lane of others) {
      const addend = await lane.gradients()
      for (let i = 0; i < to.length; i++) to[i] = to[i]! + addend[i]!
    }
  }
  /** Room is made before any lane looks: it moves the memory. */
  const train = (batch: Batch, pull: Pull): Promise<Float64Array> => {
    parameters.train()
    return trainTogether(lanes, batch, pull)
  }
  let asked: { readonly batch: Batch; readonly recompute: boolean } | undefined

  const session: BackendSession = {
    score: (batch) => scoreTogether(lanes, batch),
    generate: (prompts, options) => generateTogether(lanes, prompts, options),
    forward: async (batch, { recompute = false } = {}) => {
      const logProbs = await scoreTogether(lanes, batch)
      asked = { batch, recompute }
      return logProbs
    },
    backward: async (coefficients) => {
      if (asked === undefined) throw new Error("backward without a forward before it")
      const { batch, recompute } = asked
      asked = undefined
      await train(batch, { coefficients, recompute })
    },
    ...(loss === undefined
      ? {}
      : { fused: (batch, inputs, { recompute = false } = {}) => train(batch, { inputs, recompute }) }),
    update: async (update) => {
      parameters.train()
      await gather(gradients())
      const result = parameters.update(update)
      await settled(others.map((lane) => lane.load(weights().slice())))
      return result
    },
    weights: async () => ({ ...model, parameters: parameters.inOrder("parameters") }),
    optimiser: async () => ({ m: parameters.inOrder("m"), v: parameters.inOrder("v"), updates: parameters.updates() }),
    gradients: async () => {
      parameters.train()
      const sum = gradients().slice()
      await gather(sum)
      return parameters.inOrder(sum)
    },
    zeroGradients: async () => {
      asked = undefined
      parameters.train()
      gradients().fill(0)
      await settled(others.map((lane) => lane.load(weights().slice())))
    },
    close: async () => {
      asked = undefined
      await settled(lanes.map((lane) => lane.close()))
    }
  }
  return session
}

export const start: BackendModule["start"] = async ({ threads = availableParallelism() }) => {
  const caches = new Map<number, Sessions>()
  let host: LaneHost | undefined
  const shared: Shared = {
    threads,
    sessions: (count) => {
      const cache = caches.get(count) ?? sessions(count)
      caches.set(count, cache)
      return cache
    },
    laneHost: (count) => host ??= laneHost(count)
  }
  return {
    numerics: numerics.onnx,
    open: open(shared),
    close: async () => {
      await host?.close()
      for (const cache of caches.values()) await cache.close()
    }
  }
}
