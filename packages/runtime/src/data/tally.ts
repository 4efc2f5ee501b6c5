// How often each number came, for quantiles and bins of numbers that are not kept: as large as there are different ones.
import { type Quantiles, quantilesOf } from "./quantiles.ts"

export interface Tally {
  readonly add: (value: number) => void
  readonly quantiles: () => Quantiles
  /** Counts in `bins` bins of the width `bin` from 0; what is longer is in the last. */
  readonly histogram: (bin: number, bins: number) => ReadonlyArray<number>
}

export const tally = (): Tally => {
  const counts = new Map<number, number>()
  return {
    add: (value) => void counts.set(value, (counts.get(value) ?? 0) + 1),
    quantiles: () => quantilesOf([...counts].toSorted(([a], [b]) => a - b)),
    histogram: (bin, bins) => {
      const of = Array.from({ length: bins }, () => 0)
      for (const [value, count] of counts) of[Math.min(bins - 1, Math.floor(value / bin))]! += count
      return of
    }
  }
}
