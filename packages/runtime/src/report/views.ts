// What the small panels of a figure show: one per facet on shared axes; and where a few series reach so far that they
// flatten the others, a second look without them.
import { list } from "./format.ts"
import type { Arrangement, Series } from "./series.ts"

export interface View {
  /** Empty where there is a single one. */
  readonly label: string
  readonly series: ReadonlyArray<Series>
  /** The series that its axes have room for. */
  readonly scale: ReadonlyArray<Series>
}

/** How many medians a series reaches before it is left out of the second look. */
const far = 5

/** `reach`: how far a series goes along each axis, 0 or more. At least two remain. */
const withoutFar = (
  series: ReadonlyArray<Series>,
  reach: (series: Series) => ReadonlyArray<number>
): ReadonlyArray<Series> => {
  const reaches = series.map(reach)
  const medians = (reaches[0] ?? []).map((_, axis) => {
    const sorted = reaches.map((one) => one[axis]!).toSorted((a, b) => a - b)
    return sorted[Math.floor((sorted.length - 1) / 2)]!
  })
  const near = series.filter((_, i) => reaches[i]!.every((value, axis) => value <= far * medians[axis]!))
  return near.length < 2 ? series : near
}

export const viewsOf = (
  { facets, series }: Arrangement,
  reach: (series: Series) => ReadonlyArray<number>
): ReadonlyArray<View> => {
  if (facets.length > 1) {
    return facets.map((facet) => ({
      label: facet.label,
      series: series.filter((one) => one.facet === facet),
      scale: series
    }))
  }
  const near = withoutFar(series, reach)
  const left = series.filter((one) => !near.includes(one)).map(({ name }) => name)
  const all = { series, scale: series }
  return left.length === 0
    ? [{ label: "", ...all }]
    : [{ label: "all", ...all }, { label: `closer, without ${list(left)}`, series: near, scale: near }]
}
