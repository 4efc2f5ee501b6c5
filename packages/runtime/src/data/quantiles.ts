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

/** Of numbers in order, each with how often it came. Nearest rank, so that every quantile is one of the numbers; all 0 of none. */
export const quantilesOf = (counted: ReadonlyArray<readonly [value: number, count: number]>): Quantiles => {
  let [count, sum] = [0, 0]
  for (const [value, times] of counted) {
    count += times
    sum += value * times
  }
  const at = (share: number): number => {
    let left = Math.max(1, Math.ceil(share * count))
    return counted.find(([, times]) => (left -= times) <= 0)?.[0] ?? 0
  }
  const mean = count === 0 ? 0 : sum / count
  return { count, mean, min: counted[0]?.[0] ?? 0, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) }
}

export const quantiles = (numbers: ArrayLike<number>): Quantiles =>
  quantilesOf(Array.from(Float64Array.from(numbers).toSorted(), (value) => [value, 1] as const))
