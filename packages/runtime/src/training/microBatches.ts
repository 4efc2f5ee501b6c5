// Cuts the groups of one optimiser step into runs of the engine. The optimiser batch itself stays what it is.
import type { TokenGroups } from "../compute/Batch.ts"

/** Rows (tokens fed) per run: enough to keep matrix products busy, little enough for the saved activations of a laptop. */
export const rowBudget = 4096

/** Rows that group `g` adds to a packed batch: its prompt, and each kept branch without its last token. */
export const rowsOf = (data: TokenGroups, g: number, branches: ReadonlyArray<number>): number => {
  let rows = data.promptLength[g]!
  for (const branch of branches) rows += data.branchLength[g * data.sides.length + branch]! - 1
  return rows
}

/**
 * Consecutive pieces of `groups`, each of a count that the engine takes (`counts` ascending; empty means any) and, unless
 * one smallest piece is longer, of at most `budget` rows. The pieces depend on the data alone, so a rerun cuts the same.
 */
export const microBatches = (
  data: TokenGroups,
  groups: Int32Array,
  sides: ReadonlyArray<string>,
  counts: ReadonlyArray<number>,
  budget: number = rowBudget
): ReadonlyArray<Int32Array> => {
  const branches = sides.map((side) => data.sides.indexOf(side))
  const pieces: Array<Int32Array> = []
  for (let at = 0; at < groups.length;) {
    let count = 0
    for (let rows = 0; at + count < groups.length; count++) {
      rows += rowsOf(data, groups[at + count]!, branches)
      if (rows > budget) break
    }
    const allowed = counts.length === 0 ? Math.max(1, count) : counts.findLast((c) => c <= count) ?? counts[0]!
    if (at + allowed > groups.length) {
      throw new RangeError(`the engine takes ${counts.join(", ")} groups in a run, and ${groups.length - at} are left`)
    }
    pieces.push(groups.subarray(at, at + allowed))
    at += allowed
  }
  return pieces
}
