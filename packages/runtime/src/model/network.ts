// What the forward graphs of families are written with: a model's tensors by name, linear layers with their adapters, the head.
import type { Lora } from "@penchant/dsl/Recipe"
import { builder, type Input, type Value } from "../compute/Graph.ts"
import { askPredictingRows } from "../compute/predictingRows.ts"
import type { Forward, Layer, Stored, TensorSpec } from "./Family.ts"
import { adapterNames, adapts } from "./lora.ts"
import type { Rope } from "./rope.ts"

/** Names and shapes, as most families list them. */
export const specs = (tensors: Iterable<readonly [string, ReadonlyArray<number>]>): ReadonlyArray<TensorSpec> =>
  Array.from(tensors, ([name, shape]) => ({ name, shape }))

/** A weight, and a bias of `bias` elements unless undefined. */
export const affine = (name: string, shape: ReadonlyArray<number>, bias: number | undefined) => [
  [`${name}.weight`, shape] as const,
  ...(bias === undefined ? [] : [[`${name}.bias`, [bias]] as const])
]

export const network = (tensors: ReadonlyArray<TensorSpec>, adapter?: Lora) => {
  const g = builder()
  const weights = tensors.map(({ name, shape }) => g.weight(name, shape))
  const byName = new Map(weights.map((weight) => [weight.name, weight]))
  const w = (name: string): Value => {
    const found = byName.get(name)
    if (found === undefined) throw new Error(`the family lists no tensor "${name}"`)
    return found
  }
  const layers: Array<Layer> = []
  const adapters: Array<Input> = []
  /** alpha / rank B A x + y */
  const adapted = (y: Value, x: Value, name: string, { alpha, rank }: Lora): Value => {
    const [from, to] = [x.shape[1] as number, y.shape[1] as number]
    const names = adapterNames(name)
    const [down, up] = [g.weight(names.down, [rank, from]), g.weight(names.up, [to, rank])]
    adapters.push(down, up)
    const narrow = g.emit("mm", { a: x, b: down }, { transA: false, transB: true }).y
    const scaled = g.emit("scale", { x: narrow }, { factor: alpha / rank }).y
    return g.emit("mm", { a: scaled, b: up, accumulator: y }, { transA: false, transB: true }).y
  }
  return {
    g,
    w,
    /** x [T, heads * headDim] turned by its positions, in as many of each head's dimensions as the frequencies are for. */
    rotated: (x: Value, { frequencies, scale }: Rope, headDim: number): Value =>
      g.emit(
        "rope",
        { x, positions: g.batch("positions"), ...g.tables(frequencies, scale) },
        { headDim, dims: 2 * frequencies.length, style: "half", inverse: false }
      ).y,
    embedding: (table: string, ids: Value): Value => g.emit("embedding", { table: w(`${table}.weight`), ids }, {}).y,
    layerNorm: (x: Value, name: string, epsilon: number): Value =>
      g.emit("layerNorm", { x, weight: w(`${name}.weight`), bias: w(`${name}.bias`) }, { epsilon }).y,
    /** With the bias if there is one, and the adapter. */
    linear: (x: Value, name: string, accumulator?: Value, stored: Stored = "[out, in]"): Value => {
      layers.push({ name, stored })
      const bias = byName.get(`${name}.bias`)
      const { y } = g.emit("mm", { a: x, b: w(`${name}.weight`), accumulator: accumulator ?? bias }, {
        transA: false,
        transB: stored === "[out, in]"
      })
      const whole = accumulator === undefined || bias === undefined ? y : g.emit("add", { a: y, b: bias }, {}).y
      return adapter !== undefined && adapts(adapter, name) ? adapted(whole, x, name, adapter) : whole
    },
    /** The rows that predict completion tokens. */
    predicting: (x: Value): Value => g.emit("gatherRows", { x, rows: g.batch("rows") }, {}).y,
    head: (hidden: Value, table: string, softCap?: number): Forward => {
      const { logProb } = g.emit("tokenLogProb", {
        hidden,
        head: w(`${table}.weight`),
        predictor: g.batch("predictor"),
        targets: g.batch("targets")
      }, { softCap })
      return { graph: askPredictingRows(g.finish([logProb])), logProb, weights: [...weights, ...adapters], layers }
    }
  }
}
