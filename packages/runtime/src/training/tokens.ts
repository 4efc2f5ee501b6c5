// Per-token numbers of a data set and of a packed batch: where each group's lie, and one array per side for the loss.
import type { Coefficients, Inputs, SideInputs } from "@penchant/dsl/Evaluate"
import type { Side } from "@penchant/dsl/Formula"
import type { Batch, TokenGroups } from "../compute/Batch.ts"
import { pick, type Range } from "../compute/ranges.ts"

/** [groups * branches + 1] where each branch's completion tokens start, in the order that log-probabilities are kept in. */
export const branchOffsets = (data: TokenGroups): Int32Array => {
  const offsets = new Int32Array(data.branchLength.length + 1)
  for (let b = 0; b < data.branchLength.length; b++) offsets[b + 1] = offsets[b]! + data.branchLength[b]!
  return offsets
}

/** The values of the kept branches of `groups`, of an array over all completion tokens: aligned with `pack(...)`'s targets. */
export const gather = (
  data: TokenGroups,
  offsets: Int32Array,
  all: Float64Array,
  groups: Int32Array,
  sides: ReadonlyArray<string>
): Float64Array => {
  const branches = sides.map((side) => data.sides.indexOf(side))
  const ranges: Array<Range> = []
  for (const g of groups) {
    for (const branch of branches) {
      const b = g * data.sides.length + branch
      ranges.push([offsets[b]!, offsets[b + 1]!])
    }
  }
  return pick(all, ranges)
}

/** What the loss is computed from: groups, their completion lengths per branch [groups * sides], and tokens [N] in batch order. */
export interface Scored {
  readonly groups: number
  readonly sides: ReadonlyArray<Side>
  readonly lengths: Int32Array
  readonly policy: Float64Array
  readonly reference: Float64Array | undefined
  readonly columns: Readonly<Record<string, Float64Array>>
}

/** Several micro-batches as one, in order. */
export const concat = (parts: ReadonlyArray<Scored>): Scored => {
  const first = parts[0]!
  if (parts.length === 1) return first
  const joined = (of: (part: Scored) => Float64Array): Float64Array => {
    const all = new Float64Array(parts.reduce((sum, part) => sum + of(part).length, 0))
    let at = 0
    for (const part of parts) {
      all.set(of(part), at)
      at += of(part).length
    }
    return all
  }
  return {
    groups: parts.reduce((sum, part) => sum + part.groups, 0),
    sides: first.sides,
    lengths: Int32Array.from(parts.flatMap((part) => [...part.lengths])),
    policy: joined((part) => part.policy),
    reference: first.reference === undefined ? undefined : joined((part) => part.reference!),
    columns: Object.fromEntries(Object.keys(first.columns).map((name) => [name, joined((part) => part.columns[name]!)]))
  }
}

/** Copies between batch order (group, branch, position) and one array per side (group, position). */
const perSide = (
  { groups, lengths, sides }: Pick<Scored, "groups" | "lengths" | "sides">,
  move: (side: Side, from: number, to: number, count: number) => void
): void => {
  const filled = sides.map(() => 0)
  let at = 0
  for (let g = 0; g < groups; g++) {
    for (let s = 0; s < sides.length; s++) {
      const count = lengths[g * sides.length + s]!
      move(sides[s]!, at, filled[s]!, count)
      filled[s]! += count
      at += count
    }
  }
}

const sizes = ({ groups, lengths, sides }: Scored): ReadonlyArray<Int32Array> =>
  sides.map((_, s) => Int32Array.from({ length: groups }, (_, g) => lengths[g * sides.length + s]!))

/** As the objective reads it. */
export const inputsOf = (scored: Scored, state: Inputs["state"]): Inputs => {
  const sides: Partial<Record<Side, SideInputs>> = {}
  const lengths = sizes(scored)
  scored.sides.forEach((side, s) => {
    const count = lengths[s]!.reduce((sum, length) => sum + length, 0)
    sides[side] = {
      lengths: lengths[s]!,
      policy: new Float64Array(count),
      ...(scored.reference === undefined ? {} : { reference: new Float64Array(count) })
    }
  })
  perSide(scored, (side, from, to, count) => {
    const into = sides[side]!
    into.policy.set(scored.policy.subarray(from, from + count), to)
    if (scored.reference !== undefined) into.reference!.set(scored.reference.subarray(from, from + count), to)
  })
  return { rows: scored.groups, sides, columns: scored.columns, ...(state === undefined ? {} : { state }) }
}

/** One coefficient per completion token [N] in batch order, times `scale`; a side that the loss ignores gets zeros. */
export const inBatchOrder = (scored: Scored, coefficients: Coefficients, scale: number): Float64Array => {
  const all = new Float64Array(scored.policy.length)
  perSide(scored, (side, to, from, count) => {
    const values = coefficients[side]
    if (values !== undefined) { for (let i = 0; i < count; i++) all[to + i] = values[from + i]! * scale }
  })
  return all
}

/** A packed batch with its log-probabilities, as the loss takes it. */
export const scored = (
  data: TokenGroups,
  groups: Int32Array,
  batch: Batch,
  sides: ReadonlyArray<Side>,
  policy: Float64Array,
  reference: Float64Array | undefined
): Scored => ({
  groups: batch.groups,
  sides,
  lengths: batch.lengths,
  policy,
  reference,
  columns: columnsOf(data, groups)
})

/** Data columns of the chosen groups, [groups] each. */
export const columnsOf = (data: TokenGroups, groups: Int32Array): Readonly<Record<string, Float64Array>> =>
  Object.fromEntries(
    Object.entries(data.columns).map(([name, column]) => [name, Float64Array.from(groups, (g) => column[g]!)])
  )
