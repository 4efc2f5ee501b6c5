// Which scores are shown, in which order, under which head: the same in the page and in the terminal.
import type { ReportData } from "./ReportData.ts"

export interface ScoreColumn {
  readonly name: string
  readonly head: string
  /** Printed with its sign. */
  readonly change: boolean
  /** The column that this one is a change of: it stands before it, and lends it its head. */
  readonly base?: string
}

const known: ReadonlyArray<ScoreColumn> = [
  { name: "chosenLogProb", head: "chosen", change: false },
  { name: "chosenChange", head: "change", change: true, base: "chosenLogProb" },
  { name: "rejectedLogProb", head: "rejected", change: false },
  { name: "rejectedChange", head: "change", change: true, base: "rejectedLogProb" },
  { name: "margin", head: "margin", change: false },
  { name: "marginChange", head: "change", change: true, base: "margin" },
  { name: "preferenceAccuracy", head: "accuracy", change: false },
  { name: "accuracyChange", head: "change", change: true, base: "preferenceAccuracy" },
  { name: "preferenceAccuracyMean", head: "by means", change: false },
  { name: "lengthMatchedAccuracy", head: "equal length", change: false }
]
const byName = new Map(known.map((column) => [column.name, column]))

/** `change` after its column, `chosen change` without it. */
const headed = (column: ScoreColumn, present: ReadonlySet<string>): ScoreColumn => {
  const { base, change, name } = column
  return base === undefined || present.has(base)
    ? column
    : { name, change, head: `${byName.get(base)!.head} change` }
}

/** Shown as an interval beside another number, or as a fact about the data. */
const elsewhere = /(Low|High)$|^shorterWins$|^lengthMatchedPairs$/

/** Columns that a run has, the known ones first; the start's where no run has any. */
export const scoreColumns = (data: ReportData): ReadonlyArray<ScoreColumn> => {
  const scored = data.runs.flatMap(({ scores }) => (scores === undefined ? [] : [scores]))
  const present = new Set(
    (scored.length === 0 ? [data.start?.scores ?? {}] : scored).flatMap((scores) => Object.keys(scores))
  )
  const own = [...present].filter((name) => !byName.has(name) && !elsewhere.test(name))
  return [
    ...known.filter(({ name }) => present.has(name)).map((column) => headed(column, present)),
    ...own.map((name) => ({ name, head: name, change: false }))
  ]
}
