// Stretches of per-token values: what a part of a batch, or some groups of a data set, are in an array over all of them.

/** From, and to but not included. */
export type Range = readonly [from: number, to: number]

/** The values of the ranges, end to end. */
export const pick = (all: Float64Array, ranges: ReadonlyArray<Range>): Float64Array => {
  const picked = new Float64Array(ranges.reduce((sum, [from, to]) => sum + to - from, 0))
  let at = 0
  for (const [from, to] of ranges) {
    picked.set(all.subarray(from, to), at)
    at += to - from
  }
  return picked
}
