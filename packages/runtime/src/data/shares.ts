// How many examples each source of a mixture gives.

export interface Source {
  readonly name: string
  readonly weight: number
  /** Examples that there are. */
  readonly has: number
}

/**
 * Counts in the proportion of the weights that add up to `count`; without one, the largest mixture that no source is too
 * small for. Text says why there is none. Rounding goes to the largest remainders, ties to the earlier source.
 */
export const sharesOf = (sources: ReadonlyArray<Source>, count?: number): ReadonlyArray<number> | string => {
  const total = sources.reduce((sum, { weight }) => sum + weight, 0)
  const wrong = sources.find(({ weight }) => !(weight > 0 && Number.isFinite(weight)))
  if (wrong !== undefined) return `"${wrong.name}" has weight ${wrong.weight}, which is not above 0`
  // Weights such as 0.7 leave 6.999999 of 7: rounded before they are cut.
  const most = Math.floor(Math.min(...sources.map(({ has, weight }) => Math.round(has * total / weight * 1e6) / 1e6)))
  const asked = count ?? most
  const exact = sources.map(({ weight }) => asked * weight / total)
  const counts = exact.map((share) => Math.floor(share + 1e-9))
  const order = exact.map((share, index) => ({ index, rest: share - counts[index]! })).toSorted((a, b) =>
    b.rest - a.rest || a.index - b.index
  )
  const left = asked - counts.reduce((sum, one) => sum + one, 0)
  for (const { index } of order.slice(0, left)) counts[index]! += 1
  const short = sources.findIndex(({ has }, index) => counts[index]! > has)
  if (short === -1) return counts
  const { has, name } = sources[short]!
  return `${asked} examples need ${counts[short]} of "${name}", which has ${has}; at these weights ${most} are the most`
}
