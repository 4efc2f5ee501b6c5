// Runs arranged for a page: one series per objective, one panel per point of the study's other axes, replicates together.
import { setting } from "./format.ts"
import type { ReportData, Run } from "./ReportData.ts"

export interface Series {
  /** The objective with its parameters; the run's own label where two runs share it. */
  readonly name: string
  /** Index into the palette: the same objective has one colour everywhere. */
  readonly colour: number
  readonly facet: Facet
  /** At least one; more where a study replicates. */
  readonly runs: ReadonlyArray<Run>
}

export interface Facet {
  /** `learningRate 1e-4`; empty where the study has no other axis. */
  readonly label: string
  readonly point: Readonly<Record<string, string | number | boolean>>
}

export interface Arrangement {
  /** Names in order of appearance: a name's index is its colour. */
  readonly names: ReadonlyArray<string>
  readonly facets: ReadonlyArray<Facet>
  readonly series: ReadonlyArray<Series>
  /** Axes besides the objective and the replicates whose values differ between runs. */
  readonly axes: ReadonlyArray<string>
  /** Largest number of replicates in a series. */
  readonly replicates: number
  readonly replicateOver: string
}

const distinct = <A>(items: ReadonlyArray<A>): ReadonlyArray<A> => [...new Set(items)]

export const arrange = (data: ReportData): Arrangement => {
  const replicateOver = data.replicateOver ?? "seed"
  const valuesOf = (axis: string): ReadonlyArray<unknown> => distinct(data.runs.map((run) => run.point?.[axis]))
  const axes = distinct(data.runs.flatMap((run) => Object.keys(run.point ?? {})))
    .filter((axis) => axis !== "objective" && axis !== replicateOver && valuesOf(axis).length > 1)
  const facetOf = (run: Run): string =>
    axes.flatMap((axis) => {
      const value = run.point?.[axis]
      return value === undefined ? [] : [`${axis} ${setting(value)}`]
    }).join(", ")
  const slot = (run: Run): string => JSON.stringify([run.objective.name, facetOf(run), run.point?.[replicateOver]])
  const taken = Map.groupBy(data.runs, slot)
  const called = (run: Run): string => (taken.get(slot(run))!.length > 1 ? run.label : run.objective.name)

  const names = distinct(data.runs.map(called))
  const facets = new Map<string, Facet>()
  const series = new Map<string, Series & { readonly runs: Array<Run> }>()
  for (const run of data.runs) {
    const [name, label] = [called(run), facetOf(run)]
    const point = Object.fromEntries(Object.entries(run.point ?? {}).filter(([axis]) => axes.includes(axis)))
    const facet = facets.get(label) ?? { label, point }
    facets.set(label, facet)
    const key = JSON.stringify([name, label])
    const into = series.get(key) ?? { name, colour: names.indexOf(name), facet, runs: [] }
    into.runs.push(run)
    series.set(key, into)
  }
  const all = [...series.values()]
  return {
    names,
    facets: [...facets.values()],
    series: all,
    axes,
    replicates: Math.max(0, ...all.map(({ runs }) => runs.length)),
    replicateOver
  }
}

/** `dil-lsif, learningRate 1e-4` */
export const nameOf = ({ facet, name }: Series): string => facet.label === "" ? name : `${name}, ${facet.label}`

export interface Range {
  readonly mean: number
  readonly low: number
  readonly high: number
}

export const rangeOf = (values: ReadonlyArray<number>): Range => ({
  mean: values.reduce((sum, value) => sum + value, 0) / values.length,
  low: Math.min(...values),
  high: Math.max(...values)
})

/** A column of held-out numbers over the replicates; undefined unless every one has it. */
export const scoreOf = ({ runs }: Pick<Series, "runs">, column: string): Range | undefined => {
  const values = runs.flatMap((run) => run.scores?.[column] ?? [])
  return values.length === runs.length && values.length > 0 ? rangeOf(values) : undefined
}

/** 95 %: the bootstrap interval that scores carry as `nameLow` and `nameHigh`, or what `nameStderr` says; else a point. */
export const intervalOf = (scores: Run["scores"], name: string): Range | undefined => {
  const mean = scores?.[name]
  if (mean === undefined) return undefined
  const half = 1.96 * (scores?.[`${name}Stderr`] ?? 0)
  return { mean, low: scores?.[`${name}Low`] ?? mean - half, high: scores?.[`${name}High`] ?? mean + half }
}

export interface Along extends Range {
  readonly step: number
}

/** Values per step over the replicates, at the steps that all of them have. */
const together = (columns: ReadonlyArray<ReadonlyMap<number, number>>): ReadonlyArray<Along> => {
  const [first, ...rest] = columns
  const at = (step: number): Along => Object.assign({ step }, rangeOf(columns.map((column) => column.get(step)!)))
  return [...(first ?? [])].map(([step]) => step).filter((step) => rest.every((column) => column.has(step))).map(at)
}

/** A column of the training metrics per step. */
export const metricAlong = (
  series: Series,
  column: "logps_per_token/chosen" | "logps_per_token/rejected"
): ReadonlyArray<Along> =>
  together(series.runs.map(({ metrics }) =>
    new Map(metrics.flatMap((at) => {
      const value = at[column]
      return value === undefined ? [] : [[at.step, value] as const]
    }))
  ))

/** A held-out column at the snapshots. */
export const curveAlong = (series: Series, column: string): ReadonlyArray<Along> =>
  together(
    series.runs.map(({ curve }) =>
      new Map((curve?.[column] === undefined ? [] : curve.steps).map((step, i) => [step, curve![column]![i]!]))
    )
  )
