// How long things are, in a line: of many numbers the quantiles that people ask for.

export interface Quantiles {
  readonly count: number
  readonly mean: number
  readonly min: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

/** Nearest rank, so that every quantile is one of the numbers; all 0 of none. */
export const quantiles = (numbers: ArrayLike<number>): Quantiles => {
  const sorted = Float64Array.from(numbers).toSorted()
  const count = sorted.length
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * count) - 1)] ?? 0
  const mean = count === 0 ? 0 : sorted.reduce((sum, value) => sum + value, 0) / count
  return { count, mean, min: sorted[0] ?? 0, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: sorted[count - 1] ?? 0 }
}
