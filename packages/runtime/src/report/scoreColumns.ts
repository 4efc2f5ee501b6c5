// Which scores are shown, in which order, under which head: the same in the page and in the terminal.
import { grouped } from "./format.ts"
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
const elsewhere =
  /(Low|High|Stderr|Pairs|Questions|Rows|Cut|Unknown|HandWritten|TextAlone|Contaminated|Ties|Unparsable|Judged)$|^(shorterWins|longerChosen)$/

/** Runs, and models that none of them trained. */
const scoredOf = ({ models = [], runs }: ReportData) => [...models, ...runs]

export interface Asked {
  /** The benchmark's word: its numbers begin with it. */
  readonly word: string
  readonly questions: number
  readonly rows: number
  readonly cut: number
  readonly unknown: number
  /** Rows that are not the benchmark's own. */
  readonly handWritten: number
  /** Tasks whose answers were compared as text, without sympy. */
  readonly textAlone: number
  /** The most that any of the models was trained on. */
  readonly contaminated: number
}

/** What was asked of each benchmark: the same of every model. */
export const askedOf = (data: ReportData): ReadonlyArray<Asked> => {
  const scores = Object.assign({}, data.start?.scores, ...scoredOf(data).map((one) => one.scores)) as Record<
    string,
    number
  >
  return Object.keys(scores).filter((name) => name.endsWith("Questions")).map((name) => {
    const word = name.slice(0, -"Questions".length)
    const of = (fact: string): number => scores[word + fact] ?? 0
    const contaminated = Math.max(
      ...[data.start, ...scoredOf(data)].map((one) => one?.scores?.[`${word}Contaminated`] ?? 0)
    )
    return {
      word,
      questions: of("Questions"),
      rows: of("Rows"),
      cut: of("Cut"),
      unknown: of("Unknown"),
      handWritten: of("HandWritten"),
      textAlone: of("TextAlone"),
      contaminated
    }
  })
}

/** `mmluPro 200/12,032` where not all its questions were asked; `mmluPro*` where they are not its own. */
const limited = (name: string, asked: ReadonlyArray<Asked>): string => {
  // `mmlu` begins `mmluPro`.
  const [of] = asked.filter(({ word }) => name.startsWith(word)).toSorted((a, b) => b.word.length - a.word.length)
  if (of === undefined) return name
  const marked = of.handWritten > 0 ? `${name}*` : name
  return of.questions === of.rows ? marked : `${marked} ${grouped(of.questions)}/${grouped(of.rows)}`
}

/** Columns that a run has, the known ones first; the start's where no run has any. */
export const scoreColumns = (data: ReportData): ReadonlyArray<ScoreColumn> => {
  const scored = scoredOf(data).flatMap(({ scores }) => (scores === undefined ? [] : [scores]))
  const present = new Set(
    (scored.length === 0 ? [data.start?.scores ?? {}] : scored).flatMap((scores) => Object.keys(scores))
  )
  const asked = askedOf(data)
  const own = [...present].filter((name) => !byName.has(name) && !elsewhere.test(name))
  return [
    ...known.filter(({ name }) => present.has(name)).map((column) => headed(column, present)),
    ...own.map((name) => ({ name, head: limited(name, asked), change: false }))
  ]
}
