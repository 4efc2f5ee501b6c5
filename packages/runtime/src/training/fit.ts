// How micro-batches are made to fit a device: how many rows each has, and whether blocks are recomputed. Planned from the
// graph before the first step where memory is known, and made smaller whenever the device says no.
// Policy where the engine's class is seeded; on a bitwise engine the cut is fixed, and one that had to shrink is recorded.
import type { OutOfMemory } from "@penchant/dsl/Errors"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { TokenGroups } from "../compute/Batch.ts"
import type { DeviceState, ModelState, Numerics } from "../compute/Engine.ts"
import { footprintOf, type Planned, planned, type Spending } from "../compute/footprint.ts"
import { type Load, loadOf, scaledTo } from "../compute/load.ts"
import { architecture, forwardOf } from "../model/families.ts"
import { rowBudget } from "./microBatches.ts"

export const Fit = Schema.Struct({
  /** Rows (tokens fed) of a micro-batch, unless one group alone has more. */
  rows: Schema.Int,
  recompute: Schema.Boolean
})
export type Fit = typeof Fit.Type

/** A micro-batch that the device refused; never leaves training. */
export class Refused {
  readonly _tag = "Refused"
  readonly groups: Int32Array
  readonly rows: number
  readonly error: OutOfMemory
  constructor(groups: Int32Array, rows: number, error: OutOfMemory) {
    this.groups = groups
    this.rows = rows
    this.error = error
  }
}

/** The next smaller thing to try; undefined when one group alone did not fit, recomputed or not. */
export const smaller = (fit: Fit, { groups, rows }: Refused): Fit | undefined => {
  if (groups.length > 1) return { ...fit, rows: Math.max(1, Math.floor(Math.min(fit.rows, rows) / 2)) }
  return fit.recompute ? undefined : { ...fit, recompute: true }
}

/** Beyond so many rows a micro-batch is no faster, and an interruption waits longer for its end. */
const most = 2 ** 15
/** Share of the free memory that a plan may fill: allocators waste some, and estimates are off by some. */
const share = 0.8

/** Undefined for a model of no family. */
export const graphsOf = (model: Omit<ModelState, "parameters" | "shapes">): Planned | undefined =>
  Result.isFailure(architecture(model.config)) ? undefined : planned(forwardOf(model))

/** A group as large in every respect as the largest of the data. */
export const heaviest = (data: TokenGroups, sides: ReadonlyArray<string>): Load => {
  const loads = data.ids.map((_, g) => loadOf(data, [g], sides))
  const dense = (of: (load: Load) => number): number =>
    loads.reduce((most, load) => Math.max(most, of(load) / load.sizes.T), 0)
  const longest = loads.reduce((a, b) => (b.sizes.T > a.sizes.T ? b : a))
  const { T } = longest.sizes
  const sizes = { ...longest.sizes, M: T * dense(({ sizes }) => sizes.M), N: T * dense(({ sizes }) => sizes.N) }
  const most = (of: "pairs" | "seen") => ({ T: T * dense((load) => load[of].T), M: T * dense((load) => load[of].M) })
  return { sizes, pairs: most("pairs"), seen: most("seen") }
}

/**
 * The cut to begin with, given what is free with the model open, so for activations alone. On a GPU rows follow the memory, and
 * blocks are recomputed only where micro-batches would fall below what keeps matrix products busy. On a CPU, and wherever
 * the engine is bitwise, rows stay what they are, and blocks are recomputed where these do not fit.
 */
export const planFit = (
  graphs: Planned | undefined,
  numerics: Numerics & Spending,
  data: TokenGroups,
  sides: ReadonlyArray<string>,
  batchSize: number,
  device: DeviceState | undefined
): Fit => {
  const free = device?.freeBytes ?? process.availableMemory()
  const usual: Fit = { rows: rowBudget, recompute: false }
  if (graphs === undefined || data.ids.length === 0) return usual
  const group = heaviest(data, sides)
  const largest = Math.ceil(Math.min(most, group.sizes.T * batchSize))
  const fits = (rows: number, recompute: boolean): boolean => {
    const plan = footprintOf(graphs, numerics, scaledTo(group, rows), recompute)
    return plan === undefined || plan.activations + plan.workspace <= share * free
  }
  if (device?.kind !== "cuda" || numerics.determinism === "bitwise") {
    const rows = Math.max(group.sizes.T, Math.min(rowBudget, largest))
    return { ...usual, recompute: !fits(rows, false) }
  }
  /** The most rows that fit, from one group up. */
  const rowsOf = (recompute: boolean): number => {
    let [low, high] = [group.sizes.T, Math.max(group.sizes.T, largest)]
    if (fits(high, recompute)) return high
    while (high - low > 64) {
      const middle = Math.floor((low + high) / 2)
      if (fits(middle, recompute)) low = middle
      else high = middle
    }
    return low
  }
  const plain = rowsOf(false)
  const enough = Math.min(rowBudget, largest)
  return plain >= enough && fits(plain, false)
    ? { rows: plain, recompute: false }
    : { rows: rowsOf(true), recompute: true }
}
