// The onnx engine: graphs written as ONNX models and run by onnxruntime on the CPU, from npm alone.
// One run scores, or goes forward and backward, adding gradients to sums in the parameters' memory; outputs are copied by
// onnxruntime, so saved activations never leave a run: after `forward`, `backward` runs forward again inside.
import * as Result from "effect/Result"
import { availableParallelism } from "node:os"
import { Tensor } from "onnxruntime-node"
import { architecture } from "../../model/families.ts"
import type { Forward } from "../../model/Family.ts"
import type { Backend, BackendModule, BackendSession } from "../Backend.ts"
import type { Batch } from "../Batch.ts"
import type { FusedLoss } from "../Engine.ts"
import type { Input } from "../Graph.ts"
import { numerics } from "../numerics.ts"
import { batchFeeds, type Feeds, objectiveFeeds, tableFeed } from "./feeds.ts"
import { gradientName, type HostSum, logProbName, scoringModel, sumName, trainingModel } from "./models.ts"
import { canFuse } from "./objective.ts"
import { type Parameters, parametersOf, type Tensor as Place } from "./Parameters.ts"
import type { Model } from "./Program.ts"
import { type Loaded, type Sessions, sessions } from "./sessions.ts"
import type { Layout } from "./tiles.ts"

const promptTiles = 2
const layoutOf = ({ branches, groups }: Batch): Layout => ({ branches, groups, promptTiles })

/** Rotary tables by input name, for as many positions as were met. */
const tablesOf = ({ graph }: Forward) => {
  const inputs = graph.inputs.filter(({ source }) => source.kind === "table")
  let count = 0
  let tables: Feeds = {}
  return ({ positions }: Batch): Feeds => {
    const needed = positions.reduce((a, b) => Math.max(a, b), 0) + 1
    if (needed > count) {
      count = Math.max(2 * count, needed, 256)
      tables = Object.fromEntries(inputs.map((input) => [input.name, tableFeed(input, count)]))
    }
    return tables
  }
}

/** Views of the parameters' memory as tensors: weights to read, sums of gradients to read and to write. */
const tensorsOf = (parameters: Parameters, weights: ReadonlyArray<Input>) => {
  const places = new Map(parameters.tensors.map((tensor) => [tensor.name, tensor]))
  const place = (name: string): Place => {
    const found = places.get(name)
    if (found === undefined) throw new Error(`the model has no tensor "${name}"`)
    return found
  }
  const make = (vector: "parameters" | "gradients", named: (tensor: string) => string): Feeds =>
    Object.fromEntries(weights.map(({ name }) => {
      const tensor = place(name)
      return [named(name), new Tensor("float32", parameters.view(vector, tensor), tensor.shape)]
    }))
  return {
    weights: make("parameters", (name) => name),
    /** Once `parameters.train` was called. */
    gradients: (named: (tensor: string) => string): Feeds => make("gradients", named),
    sum: ({ field, tensor }: HostSum, rows: Float32Array, batch: Batch): void => {
      const { shape } = place(tensor)
      addRows(parameters.view("gradients", place(tensor)), rows, batch[field], shape.at(-1)!)
    }
  }
}

/** table[ids[t]] += rows[t], in order. */
const addRows = (table: Float32Array, rows: Float32Array, ids: Int32Array, width: number): void => {
  for (let t = 0; t < ids.length; t++) {
    const [to, from] = [ids[t]! * width, t * width]
    for (let i = 0; i < width; i++) table[to + i] = table[to + i]! + rows[from + i]!
  }
}

const pick = (names: ReadonlyArray<{ readonly name: string }>, from: Feeds): Feeds =>
  Object.fromEntries(names.flatMap(({ name }) => from[name] === undefined ? [] : [[name, from[name]]]))

const run = async ({ model, session }: Loaded<Model>, feeds: Feeds, outputs: Feeds): Promise<Feeds> => {
  const fetched = Object.fromEntries(model.outputs.map(({ name }) => [name, outputs[name] ?? null]))
  return await session.run(pick(model.inputs, feeds), fetched) as Feeds
}

const logProbsOf = (results: Feeds): Float64Array => Float64Array.from(results[logProbName]!.data as Float32Array)

const open = (cache: Sessions): Backend["open"] => async (model, options) => {
  const described = architecture(model.config)
  if (Result.isFailure(described)) throw new Error(`config: "${described.failure.field}" ${described.failure.problem}`)
  const forward = described.success.forward()
  const parameters = parametersOf(model, options.optimiser)
  const tables = tablesOf(forward)
  const loss = options.fused !== undefined && canFuse(options.fused) ? options.fused : undefined
  const { parameters: _, ...identity } = { ...model, shapes: undefined, names: undefined }
  let tensors = tensorsOf(parameters, forward.weights)
  let sums: Feeds | undefined
  let gradients: Feeds = {}
  let asked: Batch | undefined

  const keyOf = (kind: string, layout: Layout, fused?: FusedLoss): string =>
    JSON.stringify([kind, layout, identity, fused === undefined ? null : [fused.formula, fused.sides]])
  const feed = (loaded: Model, batch: Batch): Feeds => ({
    ...batchFeeds(batch, layoutOf(batch), loaded.inputs.map(({ name }) => name)),
    ...tables(batch),
    ...tensors.weights
  })
  const score = async (batch: Batch): Promise<Float64Array> => {
    const layout = layoutOf(batch)
    const loaded = await cache.load(keyOf("score", layout), () => scoringModel(forward, layout))
    return logProbsOf(await run(loaded, feed(loaded.model, batch), {}))
  }
  const trainable = (): void => {
    if (sums !== undefined) return
    if (parameters.train()) tensors = tensorsOf(parameters, forward.weights)
    sums = tensors.gradients(sumName)
    gradients = tensors.gradients(gradientName)
  }
  const train = async (batch: Batch, fused: FusedLoss | undefined, more: (names: ReadonlyArray<string>) => Feeds) => {
    trainable()
    const layout = layoutOf(batch)
    const loaded = await cache.load(keyOf("train", layout, fused), () => trainingModel(forward, layout, fused))
    const names = loaded.model.inputs.map(({ name }) => name)
    const results = await run(loaded, { ...feed(loaded.model, batch), ...sums, ...more(names) }, gradients)
    for (const each of loaded.model.hostSums) {
      tensors.sum(each, results[each.output]!.data as Float32Array, batch)
    }
    return logProbsOf(results)
  }
  const session: BackendSession = {
    score,
    forward: async (batch) => {
      const logProbs = await score(batch)
      asked = batch
      return logProbs
    },
    backward: async (coefficients) => {
      if (asked === undefined) throw new Error("backward without a forward before it")
      const batch = asked
      asked = undefined
      const cotangent = new Tensor("float32", Float32Array.from(coefficients), [coefficients.length])
      await train(batch, undefined, () => ({ cotangent }))
    },
    ...(loss === undefined ? {} : {
      fused: (batch, inputs) => train(batch, loss, (names) => objectiveFeeds(batch, loss, inputs, names))
    }),
    update: async (update) => parameters.update(update),
    weights: async () => ({ ...model, parameters: parameters.copy("parameters") }),
    optimiser: async () => ({ m: parameters.copy("m"), v: parameters.copy("v"), updates: parameters.updates() }),
    gradients: async () => parameters.copy("gradients"),
    close: async () => {
      asked = undefined
    }
  }
  return session
}

export const start: BackendModule["start"] = async ({ threads = availableParallelism() }) => {
  const cache = sessions(threads)
  return { numerics: numerics.onnx, open: open(cache), close: cache.close }
}
