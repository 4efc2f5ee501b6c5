// What a model is fed of a batch, made from the names of its inputs: int64 copies, cuts and masks of attention, rotary
// tables, and the values of a fused loss. Weights and running sums are the session's, fed without a copy (backend.ts).
import { Tensor } from "onnxruntime-node"
import type { Batch } from "../Batch.ts"
import type { FusedInputs, FusedLoss } from "../Engine.ts"
import type { Input } from "../Graph.ts"
import { objectiveInput } from "./objective.ts"
import { type Model, sizesOf } from "./Program.ts"
import { causalMask, type Layout, predictingSizes, tileSizes } from "./tiles.ts"

export type Feeds = Record<string, Tensor>

/** Small integers as int64, without a BigInt for each. */
export const int64 = (values: ArrayLike<number>): Tensor => {
  const words = new Int32Array(2 * values.length)
  for (let i = 0; i < values.length; i++) {
    words[2 * i] = values[i]!
    words[2 * i + 1] = values[i]! >> 31
  }
  return new Tensor("int64", new BigInt64Array(words.buffer), [values.length])
}
const int32 = (values: Int32Array): Tensor => new Tensor("int32", values, [values.length])
const float64 = (values: Float64Array, shape: ReadonlyArray<number> = [values.length]): Tensor =>
  new Tensor("float64", values, shape)

const fields = { tokens: int32, positions: int64, rows: int32, predictor: int32, targets: int32 } as const

/** The batch as every model reads it, as far as `wanted` names it. */
export const batchFeeds = (batch: Batch, layout: Layout, wanted: ReadonlyArray<string>): Feeds => {
  const sizes = tileSizes(batch, layout)
  const perGroup = layout.promptTiles + layout.branches
  const feeds: Feeds = {}
  for (const name of wanted) {
    const shape = sizesOf(name)
    if (shape !== undefined) feeds[name] = int64(shape)
    else if (name in fields) feeds[name] = fields[name as keyof typeof fields](batch[name as keyof typeof fields])
    else if (name === "tiles") feeds[name] = int64(sizes)
    else if (name === "predicting") feeds[name] = int64(predictingSizes(batch, layout))
    else if (name.startsWith("mask ")) {
      const [asking, ...numbers] = name.split(" ").slice(1)
      const [tile, shared, window] = numbers.map(Number) as [number, number, number]
      const [first, at] = [tile - tile % perGroup, tile % perGroup]
      const seen = at < layout.promptTiles
        ? sizes.slice(first, tile + 1)
        : [...sizes.slice(first, first + layout.promptTiles), sizes[tile]!]
      const keys = seen.reduce((a, b) => a + b, 0)
      const rows = asking === "last" ? 1 : sizes[tile]!
      feeds[name] = new Tensor("float32", causalMask(rows, keys, shared, window), [1, shared * rows, keys])
    }
  }
  return feeds
}

/** The sizes of reshapes, the same in every run. */
export const sizeFeeds = ({ inputs }: Model): Feeds =>
  Object.fromEntries(inputs.flatMap(({ name }) => {
    const sizes = sizesOf(name)
    return sizes === undefined ? [] : [[name, int64(sizes)]]
  }))

/** The rotary table that an input declares, for positions [0, count). */
export const tableFeed = ({ source }: Input, count: number): Tensor => {
  if (source.kind !== "table") throw new Error("not a table")
  const { frequencies, scale, wave } = source
  const width = frequencies.length
  const of = wave === "cos" ? Math.cos : Math.sin
  const values = Float32Array.from(
    { length: count * width },
    (_, i) => scale * of(Math.floor(i / width) * frequencies[i % width]!)
  )
  return new Tensor("float32", values, [count, width])
}

/** What a loss inside the model reads, as far as `wanted` names it. */
export const objectiveFeeds = (
  { groups, lengths }: Batch,
  { parameters, sides }: FusedLoss,
  { columns, reference, scale }: FusedInputs,
  wanted: ReadonlyArray<string>
): Feeds => {
  const perSide = sides.map((_, s) => Int32Array.from({ length: groups }, (_g, g) => lengths[g * sides.length + s]!))
  const counts = perSide.map((each) => each.reduce((a, b) => a + b, 0))
  const total = counts.reduce((a, b) => a + b, 0)
  const places = counts.map((count) => new Int32Array(count))
  const rows = counts.map((count) => new Int32Array(count))
  const order = new Int32Array(total)
  const starts = counts.map((_, s) => counts.slice(0, s).reduce((a, b) => a + b, 0))
  const filled = counts.map(() => 0)
  let n = 0
  for (let g = 0; g < groups; g++) {
    for (let s = 0; s < sides.length; s++) {
      for (let i = 0; i < perSide[s]![g]!; i++) {
        const at = filled[s]!++
        places[s]![at] = n
        rows[s]![at] = g
        order[n++] = starts[s]! + at
      }
    }
  }
  const made: Record<string, () => Tensor> = {
    [objectiveInput.scale]: () => float64(Float64Array.of(scale), []),
    [objectiveInput.order]: () => int64(order),
    [objectiveInput.reference]: () => {
      if (reference === undefined) throw new Error("the loss needs log-probabilities of the reference")
      return float64(reference)
    }
  }
  for (const [name, value] of Object.entries(parameters)) {
    made[objectiveInput.parameter(name)] = () => float64(Float64Array.of(value), [])
  }
  for (const [name, column] of Object.entries(columns)) made[objectiveInput.column(name)] = () => float64(column)
  for (const [s, side] of sides.entries()) {
    made[objectiveInput.lengths(side)] = () => float64(Float64Array.from(perSide[s]!))
    made[objectiveInput.places(side)] = () => int64(places[s]!)
    made[objectiveInput.rows(side)] = () => int64(rows[s]!)
    made[objectiveInput.members(side)] = () => {
      const members = new Float64Array(groups * counts[s]!)
      rows[s]!.forEach((g, i) => {
        members[g * counts[s]! + i] = 1
      })
      return float64(members, [groups, counts[s]!])
    }
  }
  return Object.fromEntries(wanted.flatMap((name) => made[name] === undefined ? [] : [[name, made[name]()]]))
}
