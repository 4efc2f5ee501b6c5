// A batch cut into parts that run side by side, and their results put together again. Which groups go where depends on the
// batch alone, so that sums come out the same however many threads there are.
import type { Batch } from "../Batch.ts"
import type { FusedInputs } from "../Engine.ts"
import { pick, type Range } from "../ranges.ts"

export interface Part {
  readonly batch: Batch
  /** Groups of the whole batch, in order. */
  readonly groups: ReadonlyArray<number>
  /** Completion tokens of each of these groups, where they lie in the whole batch. */
  readonly tokens: ReadonlyArray<Range>
}

/** Where group g begins: rows of tokens, predicting rows, completion tokens. */
const startsOf = ({ branches, groups, lengths, segments }: Batch) => {
  const starts = [{ row: 0, predicting: 0, token: 0 }]
  for (let g = 0; g < groups; g++) {
    let { predicting, row, token } = starts[g]!
    predicting += 1
    for (let s = 0; s <= branches; s++) {
      const rows = segments[g * (1 + branches) + s]!
      row += rows
      if (s > 0) predicting += rows
    }
    for (let b = 0; b < branches; b++) token += lengths[g * branches + b]!
    starts.push({ row, predicting, token })
  }
  return starts
}

type Starts = ReturnType<typeof startsOf>

/** Rows, and attention's share: rows that see n keys cost about n / 400 more. */
const costOf = (rows: number): number => rows + rows * rows / 400

const partOf = (batch: Batch, starts: Starts, groups: ReadonlyArray<number>): Part => {
  const { branches } = batch
  const cut = (from: Int32Array, bound: (g: number) => number, shift: (g: number) => number = () => 0): Int32Array => {
    const total = groups.reduce((sum, g) => sum + bound(g + 1) - bound(g), 0)
    const cutOut = new Int32Array(total)
    let at = 0
    for (const g of groups) {
      const by = shift(g)
      for (let i = bound(g); i < bound(g + 1); i++) cutOut[at++] = from[i]! + by
    }
    return cutOut
  }
  const row = (g: number) => starts[g]!.row
  const predicting = (g: number) => starts[g]!.predicting
  const token = (g: number) => starts[g]!.token
  /** How far a group moves when only the chosen ones are packed. */
  const moved = (start: (g: number) => number) => {
    let at = 0
    const by = new Map(groups.map((g) => {
      const shift = at - start(g)
      at += start(g + 1) - start(g)
      return [g, shift]
    }))
    return (g: number): number => by.get(g)!
  }
  return {
    groups,
    tokens: groups.map((g) => [token(g), token(g + 1)] as const),
    batch: {
      groups: groups.length,
      branches,
      tokens: cut(batch.tokens, row),
      positions: cut(batch.positions, row),
      segments: cut(batch.segments, (g) => g * (1 + branches)),
      rows: cut(batch.rows, predicting, moved(row)),
      predictor: cut(batch.predictor, token, moved(predicting)),
      targets: cut(batch.targets, token),
      lengths: cut(batch.lengths, (g) => g * branches)
    }
  }
}

/**
 * At most `count` parts of equally many groups, or one more, and about equal cost: the costliest group first, each to the
 * part that has least so far.
 */
export const partsOf = (batch: Batch, count: number): ReadonlyArray<Part> => {
  const starts = startsOf(batch)
  const all = Array.from({ length: batch.groups }, (_, g) => g)
  if (count === 1 || batch.groups === 1) return [{ ...partOf(batch, starts, all), batch }]
  const cost = all.map((g) => costOf(starts[g + 1]!.row - starts[g]!.row))
  const parts = Array.from({ length: Math.min(count, batch.groups) }, (): Array<number> => [])
  const load = parts.map(() => 0)
  const room = Math.ceil(batch.groups / parts.length)
  for (const g of all.toSorted((a, b) => cost[b]! - cost[a]! || a - b)) {
    let best = -1
    for (let p = 0; p < parts.length; p++) {
      if (parts[p]!.length < room && (best < 0 || load[p]! < load[best]!)) best = p
    }
    parts[best]!.push(g)
    load[best]! += cost[g]!
  }
  return parts.map((groups) => partOf(batch, starts, groups.toSorted((a, b) => a - b)))
}

/** The part's share of one value per completion token. */
export const tokensOf = ({ tokens }: Part, whole: Float64Array): Float64Array => pick(whole, tokens)

/** The inverse of `tokensOf`, over all parts. */
export const joinTokens = (parts: ReadonlyArray<Part>, shares: ReadonlyArray<Float64Array>): Float64Array => {
  const whole = new Float64Array(shares.reduce((sum, share) => sum + share.length, 0))
  parts.forEach(({ tokens }, p) => {
    let at = 0
    for (const [from, to] of tokens) whole.set(shares[p]!.subarray(at, at += to - from), from)
  })
  return whole
}

export const inputsOf = (part: Part, { columns, reference, scale }: FusedInputs): FusedInputs => ({
  scale,
  columns: Object.fromEntries(
    Object.entries(columns).map(([name, column]) => [name, Float64Array.from(part.groups, (g) => column[g]!)])
  ),
  ...(reference === undefined ? {} : { reference: tokensOf(part, reference) })
})
