// The table of scores: the start first, then the runs in the order of the pipeline. Nothing is sorted or marked as best.
import { type Cell, type Column, numeric, row, table, text } from "./figure.ts"
import { count, fixed, list, setting, signed } from "./format.ts"
import { type Html, html } from "./html.ts"
import { named } from "./objectives.ts"
import type { ReportData } from "./ReportData.ts"
import { askedOf, type ScoreColumn, scoreColumns } from "./scoreColumns.ts"
import { type Arrangement, intervalOf, type Range, scoreOf, type Series } from "./series.ts"
import { benchmarksOf, pairsOf, winRatesOf } from "./statements.ts"

const show = (range: Range | undefined, { change }: ScoreColumn): Cell => {
  if (range === undefined) return undefined
  const print = change ? signed : fixed
  return range.high > range.low
    ? html`${print(range.mean)}<small>${print(range.low)} to ${print(range.high)}</small>`
    : print(range.mean)
}

const read = ({ runs }: Series, name: string): Range | undefined =>
  runs.length === 1 ? intervalOf(runs[0]!.scores, name) : scoreOf({ runs }, name)

/** The value alone under a heading that names the axis. */
const placeOf = ({ facet }: Series): string => {
  const values = Object.values(facet.point)
  return values.length === 1 ? setting(values[0]!) : facet.label
}

/** Undefined where nothing was scored. */
export const scoresTable = (data: ReportData, arrangement: Arrangement): Html | undefined => {
  const scores = scoreColumns(data)
  if (scores.length === 0) return undefined
  const { axes, replicateOver, replicates, series } = arrangement
  const columns: ReadonlyArray<Column> = [
    ...text(""),
    ...(axes.length === 0 ? [] : text(list(axes))),
    ...numeric(...scores.map(({ head }) => head))
  ]
  const start = data.start === undefined ? [] : [
    row(
      html`<i class="swatch ring"></i>${data.start.label}`,
      axes.length === 0 ? [] : [undefined],
      scores.map((score) => show(intervalOf(data.start?.scores, score.name), score))
    )
  ]
  const models = (data.models ?? []).map((model) =>
    row(
      model.label,
      axes.length === 0 ? [] : [undefined],
      scores.map((score) => show(intervalOf(model.scores, score.name), score))
    )
  )
  const rows = series.map((one) =>
    row(
      named(arrangement, one.name),
      axes.length === 0 ? [] : [placeOf(one)],
      scores.map((score) => show(read(one, score.name), score))
    )
  )
  const benchmarks = askedOf(data).length > 0
  const intervals = scores.some(({ name }) => name.startsWith("preferenceAccuracy"))
  return html`${table(columns, [...start, ...models, ...rows], "scores")}<p class="note">${
    [
      data.heldOut === undefined
        ? ""
        : `Log-probabilities and margins per token, in nats, means over ${pairsOf(data)}.`,
      replicates > 1
        ? `Means over ${count(replicates, replicateOver)}, below them the range.`
        : intervals
        ? "Below an accuracy: its 95 % bootstrap interval. By means: log-probabilities per token compared."
        : "",
      benchmarks && replicates <= 1 ? "Below a benchmark's number: 1.96 standard errors to both sides." : "",
      benchmarksOf(data),
      winRatesOf(data),
      "Rows stand in the order of the pipeline; none is marked as best."
    ].filter((part) => part !== "").join(" ")
  }</p>`
}
