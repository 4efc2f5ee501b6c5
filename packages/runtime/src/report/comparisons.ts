// Guarded comparisons: mean and interval per row, paired differences, and whatever else differs between the rows.
import { type Figure, numeric, pane, panes, paneWidth, row, table, text } from "./figure.ts"
import { fixed, list, rangeText, signed } from "./format.ts"
import type { Html } from "./html.ts"
import { roomFor } from "./labels.ts"
import type { ComparisonData } from "./ReportData.ts"
import type { Arrangement } from "./series.ts"
import { axisX, draw, extent, gridX, rowNames, ruleX, whiskers } from "./svg.ts"

/** A row is an objective, or an objective and other axes: `dpo learningRate=0.002`. */
const colourIn = (names: ReadonlyArray<string>, label: string): number =>
  names.findIndex((name) => label === name || label.startsWith(`${name} `))

const plot = ({ metric, rows }: ComparisonData, { names }: Arrangement): Html => {
  const shown = rows.map(({ high, label, low, mean }) => ({
    label,
    mean,
    low,
    high,
    colour: colourIn(names, label),
    title: `${label}: ${rangeText({ mean, low, high }, fixed)}`
  }))
  const { high, low } = extent([0, ...rows.flatMap((at) => [at.low, at.high])], 0.08)
  return draw({
    width: paneWidth.one,
    height: 30 * rows.length + 50,
    marginLeft: roomFor(rows.map(({ label }) => label)),
    marginRight: 20,
    marginTop: 6,
    marginBottom: 40,
    x: { domain: [low, high] },
    y: { type: "band", domain: rows.map(({ label }) => label), padding: 0, axis: null },
    marks: [gridX(), ruleX(0), rowNames(), axisX(metric, { tickSize: 0 }), whiskers(shown)]
  }, `${metric}: mean and interval per row`)
}

/** What the numbers allow to say: never which row is best. */
const sentences = ({ differsIn, notes, rows }: ComparisonData): string => {
  const paired = rows.filter(({ difference }) => difference !== undefined)
  const open = paired.filter(({ difference }) => difference!.low <= 0 && difference!.high >= 0)
  const first = rows.find(({ difference }) => difference === undefined)?.label ?? "the first row"
  return [
    ...(paired.length === 0 ? [] : [
      open.length === 0
        ? `No interval of the difference from ${first} covers zero.`
        : `The interval of the difference from ${first} covers zero for ${list(open.map(({ label }) => label))}.`
    ]),
    differsIn.length === 0
      ? "Nothing but the named axis differs between rows."
      : `Rows also differ in ${list(differsIn)}.`,
    ...notes.map((note) => (/[.!?]$/.test(note) ? note : `${note}.`))
  ].join(" ")
}

export const comparisonFigure = (comparison: ComparisonData, arrangement: Arrangement, index: number): Figure => ({
  id: `comparison-${index}`,
  heading: comparison.title ?? `Comparison of ${comparison.metric}`,
  beside: true,
  plots: panes("one", [pane("", plot(comparison, arrangement))]),
  caption: sentences(comparison),
  numbers: table(
    [...text(""), ...numeric("n", "mean and interval", "difference and interval")],
    comparison.rows.map(({ difference, high, label, low, mean, n }) =>
      row(
        label,
        String(n),
        rangeText({ mean, low, high }, fixed),
        difference === undefined ? undefined : rangeText(difference, signed)
      )
    ),
    "small"
  )
})
