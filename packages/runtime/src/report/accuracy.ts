// Panel: held-out accuracy beside what it must be read against: the start, "shorter wins", pairs of like length, intervals.
import { type Figure, numeric, pane, row, table, text } from "./figure.ts"
import { count, fixed, grouped, rangeText, signed } from "./format.ts"
import { type Html, html } from "./html.ts"
import { roomFor } from "./labels.ts"
import type { ReportData } from "./ReportData.ts"
import { type Arrangement, intervalOf, nameOf, type Range, scoreOf, type Series } from "./series.ts"
import { accuracyChanges, pairsOf, shorterWins, shorterWinsOf } from "./statements.ts"
import { axisX, draw, extent, gridX, rowNames, ruleX, whiskers } from "./svg.ts"

type Reading = "accuracy" | "matched" | "change"

interface Row extends Readonly<Record<Reading, Range | undefined>> {
  readonly label: string
  /** -1 for baselines. */
  readonly colour: number
}

const rowOf = (series: Series): Row => {
  const [first, ...more] = series.runs
  const read = (column: string): Range | undefined =>
    more.length === 0 ? intervalOf(first?.scores, column) : scoreOf(series, column)
  return {
    label: nameOf(series),
    colour: series.colour,
    accuracy: read("preferenceAccuracy"),
    matched: read("lengthMatchedAccuracy"),
    change: read("accuracyChange")
  }
}

const baselines = (data: ReportData): ReadonlyArray<Row> => {
  const shorter = shorterWinsOf(data)
  const scores = data.start?.scores
  return [
    {
      label: "“shorter wins” alone",
      colour: -1,
      accuracy: shorter === undefined ? undefined : { mean: shorter, low: shorter, high: shorter },
      matched: undefined,
      change: undefined
    },
    {
      label: data.start?.label ?? "start",
      colour: -1,
      accuracy: intervalOf(scores, "preferenceAccuracy"),
      matched: intervalOf(scores, "lengthMatchedAccuracy"),
      change: undefined
    }
  ].filter(({ accuracy }) => accuracy !== undefined)
}

interface View {
  readonly heading: string
  readonly of: Reading
  /** The level to read against. */
  readonly rule: number
}

const spans = (rows: ReadonlyArray<Row>, of: Reading): ReadonlyArray<number> =>
  rows.flatMap((row) => (row[of] === undefined ? [] : [row[of].low, row[of].high]))

const plotWidth = 276

const plot = (rows: ReadonlyArray<Row>, { heading, of, rule }: View, left: number): Html => {
  const print = of === "change" ? signed : fixed
  const shown = rows.flatMap(({ colour, label, [of]: range }) =>
    range === undefined ? [] : [{ label, colour, ...range, title: `${label}: ${rangeText(range, print)}` }]
  )
  // both accuracies on one scale: a small subset must not look more certain than all pairs
  const values = of === "change" ? spans(rows, of) : [...spans(rows, "accuracy"), ...spans(rows, "matched")]
  const { high, low } = extent([...values, rule], 0.08)
  return draw({
    width: plotWidth + left,
    height: 26 * rows.length + 52,
    marginLeft: left,
    marginRight: 14,
    marginTop: 6,
    marginBottom: 40,
    x: { domain: [low, high] },
    y: { type: "band", domain: rows.map(({ label }) => label), padding: 0, axis: null },
    marks: [
      gridX(4),
      ruleX(rule),
      left > 14 ? rowNames() : null,
      axisX(heading, { ticks: 4, tickSize: 0, tickFormat: (value: number) => print(value, 2) }),
      whiskers(shown)
    ]
  }, `${heading}: a dot per row, with its interval`)
}

const caption = (data: ReportData, arrangement: Arrangement): string => {
  const { replicateOver, replicates } = arrangement
  const matched = data.runs.flatMap((run) => run.scores?.["lengthMatchedPairs"] ?? [])[0]
  return [
    `Share of ${pairsOf(data)} whose chosen answer has the larger log-probability, ties a half.`,
    replicates > 1
      ? `Dots: mean over ${
        count(replicates, replicateOver)
      }; whiskers: their range, which says nothing about other pairs.`
      : "Whiskers: 95 % bootstrap intervals over the held-out pairs, paired for the change; another order or another draw of training data is not in them.",
    shorterWins(data),
    matched === undefined || matched === 0
      ? ""
      : `${grouped(matched)} of them are of nearly equal length: there, one pair moves the accuracy by ${
        fixed(1 / matched, 2)
      }.`,
    accuracyChanges(arrangement)
  ].filter((part) => part !== "").join(" ")
}

/** Undefined where no run has an accuracy. */
export const accuracyFigure = (data: ReportData, arrangement: Arrangement): Figure | undefined => {
  const rows = [...baselines(data), ...arrangement.series.map(rowOf).filter(({ accuracy }) => accuracy !== undefined)]
  if (!rows.some(({ colour }) => colour >= 0)) return undefined
  const left = roomFor(rows.map(({ label }) => label))
  const views = ([
    { heading: "accuracy", of: "accuracy", rule: shorterWinsOf(data) ?? 0.5 },
    { heading: "accuracy, nearly equal length", of: "matched", rule: 0.5 },
    { heading: "change of accuracy against the start", of: "change", rule: 0 }
  ] satisfies ReadonlyArray<View>).filter(({ of }) => rows.some((row) => row[of] !== undefined))
  const columns = views.map((_, i) => `${plotWidth + (i === 0 ? left : 14)}fr`).join(" ")
  const show = (range: Range | undefined, print: (value: number) => string): string | undefined =>
    range === undefined ? undefined : rangeText(range, print)
  return {
    id: "accuracy",
    heading: "How often is the chosen answer the likelier one?",
    plots: html`<div class="scroll"><div class="panes dots" style="grid-template-columns:${columns}">${
      views.map((view, i) => pane("", plot(rows, view, i === 0 ? left : 14)))
    }</div></div>`,
    caption: caption(data, arrangement),
    numbers: table(
      [...text(""), ...numeric("accuracy", "nearly equal length", "change")],
      rows.map((at) => row(at.label, show(at.accuracy, fixed), show(at.matched, fixed), show(at.change, signed))),
      "small"
    )
  }
}
