// The table at the end of `run`: the start's row, then one row per run, at most 100 columns wide. Loads no plots.
import { list } from "./format.ts"
import type { ReportData } from "./ReportData.ts"
import { scoreColumns } from "./scoreColumns.ts"
import { arrange } from "./series.ts"
import { accuracyChanges, benchmarksOf, pairsOf, shorterWins, sizeOf, tuningOf, winRatesOf } from "./statements.ts"

const width = 100
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
const wrap = (text: string): string => {
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
  readonly scores: Readonly<Record<string, number>>
}

/** Scores; where there are none, the last step of training. */
const columnsOf = (data: ReportData, rows: ReadonlyArray<Row>): ReadonlyArray<Column> => {
  const scores = scoreColumns(data)
  if (scores.length > 0) {
    return scores.map((score) =>
      Object.assign({ cells: rows.map((row) => number(row.scores[score.name], score.change)) }, score)
    )
  }
  const last = data.runs.map(({ metrics }) => metrics.at(-1))
  return [
    { name: "step", head: "steps", cells: last.map((at) => (at === undefined ? "" : String(at.step))) },
    { name: "loss", head: "last loss", cells: last.map((at) => number(at?.loss, false)) }
  ]
}

/** The first by rank that fit; a change never without what it is a change of. */
const fitting = (columns: ReadonlyArray<Column>, most: number): ReadonlyArray<Column> => {
  const place = ({ name }: Column): number => (rank.includes(name) ? rank.indexOf(name) : rank.length)
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

/** Plain text without a line break at the end; empty where there is nothing to show. */
export const renderTable = (data: ReportData): string => {
  const labels = shorten(data.runs.map(({ label }) => label))
  const scored = scoreColumns(data).length > 0
  const all: ReadonlyArray<Row> = [
    ...(data.start === undefined || !scored ? [] : [data.start]),
    ...(data.models ?? []),
    ...data.runs.map(({ scores }, i) => ({ label: labels[i]!, scores: scores ?? {} }))
  ]
  if (all.length === 0) return ""
  const rows = all.slice(0, mostRows)
  const names: Column = { name: "label", head: "", cells: rows.map(({ label }) => cut(label, 40)) }

  const columns = columnsOf(data, rows)
  const shown = fitting(columns, width - widthOf(names))
  const line = (of: (column: Column) => string): string =>
    [of(names).padEnd(widthOf(names)), ...shown.map((column) => of(column).padStart(widthOf(column)))]
      .join(" ".repeat(gap)).trimEnd()

  const arrangement = arrange(data)
  const notes = [
    data.heldOut !== undefined ? `On ${pairsOf(data)}; log-probabilities and margins in nats per token.` : "",
    columns.some(({ head }) => head === "accuracy") ? shorterWins(data) : "",
    accuracyChanges(arrangement),
    benchmarksOf(data),
    winRatesOf(data),
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
    ...notes.map((note) => wrap(note.replaceAll("−", "-")))
  ].join("\n")
}
