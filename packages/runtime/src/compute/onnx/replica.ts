// One model as one thread runs it: weights to read and a vector of gradients to add to, both given from outside, and the
// onnxruntime sessions of its graphs. Several replicas of a model share the work of a batch (lanes.ts).
// Leaves out the optimiser, and who owns the memory.
import { Tensor } from "onnxruntime-node"
import type { Decoder } from "../../generation/Decoder.ts"
import { forwardOf, loadedArchitecture } from "../../model/families.ts"
import type { Forward } from "../../model/Family.ts"
import type { Batch } from "../Batch.ts"
import type { FusedInputs, FusedLoss, ModelState } from "../Engine.ts"
import { numerics } from "../numerics.ts"
import type { Place } from "../places.ts"
import { decoderOf } from "./decoder.ts"
import { attentionsOf, prefillModel, stepModel } from "./decoding.ts"
import { batchFeeds, type Feeds, int64, objectiveFeeds, sizeFeeds, tableFeed } from "./feeds.ts"
import { gradientName, logProbName, scoringModel, sumName, trainingModel } from "./models.ts"
import type { Model } from "./Program.ts"
import type { Loaded, Sessions } from "./sessions.ts"
import type { Layout } from "./tiles.ts"

/** What a replica is made of; plain data, so that it can go to another thread. */
export interface Network {
  readonly model: Omit<ModelState, "parameters">
  readonly places: ReadonlyArray<Place>
  /** Of the tensors that are trained, in a vector of gradients of that length. */
  readonly trained: ReadonlyArray<Place>
  readonly trainedLength: number
  readonly loss: FusedLoss | undefined
}

/** Coefficients that come from outside [N], or what the loss inside needs to make them. */
export type Pull =
  & ({ readonly coefficients: Float64Array } | { readonly inputs: FusedInputs })
  & { readonly recompute: boolean }

export interface Replica {
  /** Token log-probabilities [N]. */
  readonly score: (batch: Batch) => Promise<Float64Array>
  /** The same, and adds gradients. */
  readonly train: (batch: Batch, pull: Pull) => Promise<Float64Array>
  readonly decoder: () => Decoder
}

/** Vectors in the order of the places; they may be others from call to call, as memory moves. */
export interface Vectors {
  readonly weights: () => Float32Array
  readonly gradients: () => Float32Array
}

const promptTiles = 2
const layoutOf = ({ branches, groups }: Batch): Layout => ({ branches, groups, promptTiles })

/** Rotary tables by input name, for as many positions as were met. */
const tablesOf = ({ graph }: Forward) => {
  const inputs = graph.inputs.filter(({ source }) => source.kind === "table")
  let count = 0
  let tables: Feeds = {}
  return (positions: Int32Array): Feeds => {
    const needed = positions.reduce((a, b) => Math.max(a, b), 0) + 1
    if (needed > count) {
      count = Math.max(2 * count, needed, 256)
      tables = Object.fromEntries(inputs.map((input) => [input.name, tableFeed(input, count)]))
    }
    return tables
  }
}

/** Views of a vector as tensors, made anew when the vector is another. */
const viewsOf = (places: ReadonlyArray<Place>, vector: () => Float32Array, named: (tensor: string) => string) => {
  let seen: Float32Array | undefined
  let views: Feeds = {}
  return (): Feeds => {
    const now = vector()
    if (now !== seen) {
      seen = now
      views = Object.fromEntries(
        places.map(({ from, name, shape, size }) => [
          named(name),
          new Tensor("float32", now.subarray(from, from + size), shape)
        ])
      )
    }
    return views
  }
}

/** table[ids[t]] += rows[t], in order. */
const addRows = (table: Float32Array, rows: Float32Array, ids: Int32Array, width: number): void => {
  for (let t = 0; t < ids.length; t++) {
    const [to, from] = [ids[t]! * width, t * width]
    for (let i = 0; i < width; i++) table[to + i] = table[to + i]! + rows[from + i]!
  }
}

const run = async ({ model, session }: Loaded<Model>, feeds: Feeds, outputs: Feeds): Promise<Feeds> => {
  const fed = Object.fromEntries(model.inputs.map(({ name }) => [name, feeds[name]!]))
  const fetched = Object.fromEntries(model.outputs.map(({ name }) => [name, outputs[name] ?? null]))
  return await session.run(fed, fetched) as Feeds
}

const logProbsOf = (results: Feeds): Float64Array => Float64Array.from(results[logProbName]!.data as Float32Array)

/** Throws when the config is of no family known, or names tensors that have no place. */
export const replicaOf = ({ loss, model, places, trained }: Network, cache: Sessions, vectors: Vectors): Replica => {
  const forward = forwardOf(model)
  const names = new Set(places.map(({ name }) => name))
  const summed = new Map(trained.map((place) => [place.name, place]))
  for (const { name } of forward.weights) {
    if (!names.has(name)) throw new Error(`the model has no tensor "${name}"`)
  }
  const tables = tablesOf(forward)
  const weights = viewsOf(places, vectors.weights, (name) => name)
  const sums = viewsOf(trained, vectors.gradients, sumName)
  const gradients = viewsOf(trained, vectors.gradients, gradientName)
  const { adapter, config, frozen = 0 } = model
  const identity = [config, adapter ?? null, model.names.slice(0, frozen)]
  const key = (kind: string, layout: Layout, fused?: FusedLoss): string =>
    JSON.stringify([kind, layout, identity, fused === undefined ? null : [fused.formula, fused.sides]])

  const feed = (model: Model, batch: Batch): Feeds => ({
    ...batchFeeds(batch, layoutOf(batch), model.inputs.map(({ name }) => name)),
    ...tables(batch.positions),
    ...weights()
  })
  return {
    score: async (batch) => {
      const layout = layoutOf(batch)
      const loaded = await cache.load(key("score", layout), () => scoringModel(forward, layout))
      return logProbsOf(await run(loaded, feed(loaded.model, batch), {}))
    },
    train: async (batch, pull) => {
      const layout = layoutOf(batch)
      const { recompute } = pull
      const fused = "inputs" in pull ? loss : undefined
      const loaded = await cache.load(
        key(recompute ? "train, recomputing" : "train", layout, fused),
        () => trainingModel(forward, layout, { loss: fused, recompute })
      )
      const { hostSums, inputs } = loaded.model
      const pulled: Feeds = "inputs" in pull
        ? objectiveFeeds(batch, loss!, pull.inputs, inputs.map(({ name }) => name))
        : { cotangent: new Tensor("float32", Float32Array.from(pull.coefficients), [pull.coefficients.length]) }
      const results = await run(loaded, { ...feed(loaded.model, batch), ...sums(), ...pulled }, gradients())
      for (const { field, output, tensor } of hostSums) {
        const { from, shape, size } = summed.get(tensor)!
        const table = vectors.gradients().subarray(from, from + size)
        addRows(table, results[output]!.data as Float32Array, batch[field], shape.at(-1)!)
      }
      return logProbsOf(results)
    },
    decoder: () =>
      decoderOf({
        vocabulary: loadedArchitecture(config).vocabulary,
        attentions: attentionsOf(forward),
        groups: numerics.onnx.groups,
        prefill: async (batch) => {
          const layout = layoutOf(batch)
          const loaded = await cache.load(key("prefill", layout), () => prefillModel(forward, layout))
          return run(loaded, feed(loaded.model, batch), {})
        },
        step: async (branches, positions, feeds) => {
          const layout: Layout = { groups: 1, branches, promptTiles: 1 }
          const loaded = await cache.load(key("step", layout), () => stepModel(forward, branches))
          return run(loaded, {
            ...sizeFeeds(loaded.model),
            ...tables(positions),
            ...weights(),
            ...feeds,
            positions: int64(positions)
          }, {})
        }
      })
  }
}
