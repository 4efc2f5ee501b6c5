// The table at the end of `run`: the start's row, then one row per run, or per snapshot of a run that was measured along the
// way; as wide as the terminal, at most 100 columns. Loads no plots.
import { list } from "./format.ts"
import type { ReportData, Run } from "./ReportData.ts"
import { askedOf, scoreColumns } from "./scoreColumns.ts"
import { arrange } from "./series.ts"
import { accuracyChanges, benchmarksOf, pairsOf, shorterWins, sizeOf, tuningOf, winRatesOf } from "./statements.ts"

const widest = 100
/** A narrower terminal breaks lines itself. */
const narrowest = 40
const gap = 2
const mostRows = 60

interface Column {
  readonly name: string
  readonly base?: string
  readonly head: string
  readonly cells: ReadonlyArray<string>
}
const widthOf = ({ cells, head }: Column): number => Math.max(head.length, ...cells.map((cell) => cell.length))

/** Columns to keep first when not all fit. */
const rank = [
  "step",
  "chosenLogProb",
  "chosenChange",
  "margin",
  "marginChange",
  "preferenceAccuracy",
  "accuracyChange",
  "rejectedLogProb",
  "rejectedChange",
  "lengthMatchedAccuracy",
  "preferenceAccuracyMean"
]

const number = (value: number | undefined, change: boolean): string => {
  if (value === undefined) return ""
  const text = value.toFixed(3).replace(/^-(0\.0*)$/, "$1")
  return change && Number(text) > 0 ? `+${text}` : text
}

/** `objectives/dpo` is `dpo` where every run is of that study. */
const shorten = (labels: ReadonlyArray<string>): ReadonlyArray<string> => {
  const studies = new Set(labels.map((label) => label.slice(0, label.indexOf("/") + 1)))
  const [study = ""] = studies
  return studies.size === 1 ? labels.map((label) => label.slice(study.length)) : labels
}

const cut = (label: string, most: number): string => (label.length <= most ? label : `${label.slice(0, most - 1)}…`)

/** Breaks at spaces. */
const wrap = (text: string, width: number): string => {
  const lines = [""]
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!
    if (line === "") lines[lines.length - 1] = word
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word)
  }
  return lines.join("\n")
}

interface Row {
  readonly label: string
  /** Of a snapshot. */
  readonly step?: number
  readonly scores: Readonly<Record<string, number>>
}

type AtStep = Run & { readonly step?: number }

/** Runs measured along the way are there once per snapshot; where these are too many, at the last alone. */
const atSnapshots = (runs: ReadonlyArray<Run>): { readonly runs: ReadonlyArray<AtStep>; readonly last: boolean } => {
  const all = runs.map((run): ReadonlyArray<AtStep> => {
    if (run.scores !== undefined || run.curve === undefined) return [run]
    const { steps, ...columns } = run.curve
    const scoresAt = (i: number) =>
      Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values[i]!]))
    return steps.map((step, i) => Object.assign({}, run, { step, scores: scoresAt(i) }))
  })
  const last = all.some(({ length }) => length > 1) && all.flat().length > mostRows
  return { runs: all.flatMap((rows) => (last ? rows.slice(-1) : rows)), last }
}

/** Scores; where there are none, the last step of training. */
const columnsOf = (data: ReportData, rows: ReadonlyArray<Row>): ReadonlyArray<Column> => {
  const scores = scoreColumns(data)
  if (scores.length > 0) {
    const step = { name: "step", head: "step", cells: rows.map((row) => (row.step === undefined ? "" : `${row.step}`)) }
    return [
      ...(step.cells.some((cell) => cell !== "") ? [step] : []),
      ...scores.map((score) =>
        Object.assign({ cells: rows.map((row) => number(row.scores[score.name], score.change)) }, score)
      )
    ]
  }
  const last = data.runs.map(({ metrics }) => metrics.at(-1))
  return [
    { name: "step", head: "steps", cells: last.map((at) => (at === undefined ? "" : String(at.step))) },
    { name: "loss", head: "last loss", cells: last.map((at) => number(at?.loss, false)) }
  ]
}

/** The first by rank that fit, a benchmark's first number before others; a change never without what it is a change of. */
const fitting = (
  columns: ReadonlyArray<Column>,
  benchmarks: ReadonlySet<string>,
  most: number
): ReadonlyArray<Column> => {
  const place = ({ name }: Column): number =>
    rank.includes(name) ? rank.indexOf(name) : benchmarks.has(name) ? rank.length : rank.length + 1
  const kept = new Set<string>()
  let room = most
  for (const column of columns.toSorted((a, b) => place(a) - place(b))) {
    const needed = widthOf(column) + gap
    if (needed > room || (column.base !== undefined && !kept.has(column.base))) continue
    room -= needed
    kept.add(column.name)
  }
  return columns.filter(({ name }) => kept.has(name))
}

/** Plain text without a line break at the end; empty where there is nothing to show. `room`: columns of the terminal. */
export const renderTable = (collected: ReportData, room = widest): string => {
  const width = Math.max(narrowest, Math.min(widest, room))
  const { last, runs } = atSnapshots(collected.runs)
  const data = { ...collected, runs }
  const labels = shorten(runs.map(({ label }) => label))
  const scored = scoreColumns(data).length > 0
  const all: ReadonlyArray<Row> = [
    ...(data.start === undefined || !scored ? [] : [data.start]),
    ...(data.models ?? []),
    ...runs.map((run, i) => Object.assign({ scores: {} }, run, { label: labels[i]! }))
  ]
  if (all.length === 0) return ""
  const rows = all.slice(0, mostRows)
  const most = Math.floor(0.4 * width)
  const names: Column = { name: "label", head: "", cells: rows.map(({ label }) => cut(label, most)) }

  const columns = columnsOf(data, rows)
  const shown = fitting(columns, new Set(askedOf(data).map(({ word }) => word)), width - widthOf(names))
  const line = (of: (column: Column) => string): string =>
    [of(names).padEnd(widthOf(names)), ...shown.map((column) => of(column).padStart(widthOf(column)))]
      .join(" ".repeat(gap)).trimEnd()

  const arrangement = arrange(collected)
  const notes = [
    data.heldOut !== undefined ? `On ${pairsOf(data)}; log-probabilities and margins in nats per token.` : "",
    columns.some(({ head }) => head === "accuracy") ? shorterWins(data) : "",
    accuracyChanges(arrangement),
    benchmarksOf(data),
    winRatesOf(data),
    last ? "At the last snapshot of each run; the others are in the report." : "",
    columns.length === shown.length
      ? ""
      : `In the report only: ${list(columns.filter((column) => !shown.includes(column)).map(({ head }) => head))}.`,
    tuningOf(data, arrangement),
    `${sizeOf(data.model)}.`
  ].filter((note) => note !== "")
  return [
    line(({ head }) => head),
    ...rows.map((_, i) => line(({ cells }) => cells[i]!)),
    ...(all.length > rows.length ? [`${all.length - rows.length} more in the report`] : []),
    "",
    ...notes.map((note) => wrap(note.replaceAll("−", "-"), width))
  ].join("\n")
}
