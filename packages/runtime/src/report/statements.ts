// Sentences that page and terminal share, computed from the numbers. None of them names a winner.
import { count, fixed, grouped, list, setting, signed } from "./format.ts"
import type { ReportData } from "./ReportData.ts"
import { askedOf } from "./scoreColumns.ts"
import { type Arrangement, intervalOf, nameOf, type Range } from "./series.ts"

/** From here on a model is not called small. */
const large = 1e9

/** What was run, and how far the numbers reach. */
export const sizeOf = ({ name, parameters }: ReportData["model"]): string =>
  `${name}, a ${grouped(parameters)}-parameter model${
    parameters < large ? ": small numbers, not a claim about large models" : ""
  }`

/** Benchmarks that met something: rows of another hand, contexts that did not fit, answers that no choice matches, questions seen in training. */
export const benchmarksOf = (data: ReportData): string => {
  const asked = askedOf(data)
  const byHand = asked.filter(({ handWritten }) => handWritten > 0).map(({ word }) => word)
  const sentences = byHand.length === 0 ? [] : [`* ${list(byHand)}: hand-written rows, not the benchmark's own.`]
  for (const { contaminated, cut, questions, rows, textAlone, unknown, word } of asked) {
    const met = [
      cut === 0 ? "" : `${count(cut, "context")} cut on the left to fit the window`,
      unknown === 0 ? "" : `${count(unknown, "right answer")} not among the choices, counted as wrong`
    ].filter((part) => part !== "")
    if (met.length > 0) sentences.push(`${word}, ${count(questions, "question")}: ${list(met)}.`)
    if (textAlone > 0) sentences.push(`${word}Original compares text alone, without sympy: a lower bound.`)
    if (contaminated > 0) {
      const share = `${grouped(contaminated)} of the ${count(rows, "question")} of ${word}`
      sentences.push(`Warning: ${share} have 13 words in a row that training data has.`)
    }
  }
  return sentences.join(" ")
}

/** What win rates leave out or count by a rule, row by row where rows differ. */
export const winRatesOf = ({ models = [], runs, start }: ReportData): string => {
  const said = [...(start === undefined ? [] : [start]), ...models, ...runs].flatMap(({ label, scores = {} }) => {
    const { winRateJudged: judged, winRateTies: ties = 0, winRateUnparsable: unreadable = 0 } = scores
    return judged === undefined
      ? []
      : [`${label} ${count(judged, "prompt")}, ${count(ties, "tie")}, ${unreadable} unreadable and left out`]
  })
  return said.length === 0 ? "" : `Win rates count: ${said.join("; ")}.`
}

export const pairsOf = ({ heldOut }: ReportData): string =>
  heldOut === undefined ? "the held-out pairs" : `${grouped(heldOut)} held-out pairs`

/** What a reader of a table of objectives must know. Empty where rates differ or there is nothing to compare. */
export const tuningOf = (data: ReportData, { axes, names }: Arrangement): string => {
  const rates = [...new Set(data.runs.flatMap(({ recipe }) => recipe?.["learningRate"] ?? []))]
  return rates.length === 1 && names.length > 1 && !axes.includes("learningRate")
    ? `One learning rate, ${setting(rates[0]!)}, for all: it was not tuned per objective.`
    : ""
}

/** The same of every model on the same pairs, so that the first one's is taken. */
export const shorterWinsOf = (data: ReportData): number | undefined =>
  [data.start?.scores, ...data.runs.map(({ scores }) => scores)].flatMap((scores) => scores?.["shorterWins"] ?? [])[0]

export const shorterWins = (data: ReportData): string => {
  const shorter = shorterWinsOf(data)
  return shorter === undefined
    ? ""
    : `Preferring the shorter answer, without any model, scores ${fixed(shorter, 2)} on these pairs.`
}

/** Which intervals of the paired change of accuracy cover zero. Replicates have no such interval. */
export const accuracyChanges = ({ replicates, series }: Arrangement): string => {
  const all = replicates > 1 ? [] : series.flatMap((one): ReadonlyArray<Range & { readonly name: string }> => {
    const change = intervalOf(one.runs[0]?.scores, "accuracyChange")
    return change === undefined ? [] : [{ ...change, name: nameOf(one) }]
  })
  const open = all.filter(({ high, low }) => low <= 0 && high >= 0)
  const clear = all.filter(({ high, low }) => low > 0 || high < 0)
  if (all.length === 0) return ""
  if (clear.length === 0) {
    return all.length === 1
      ? "The interval of the change covers zero: these pairs do not tell the run from the start."
      : "Every interval of the change covers zero: these pairs tell no run from the start."
  }
  const named = list(clear.map(({ high, low, name }) => `${name} (${signed(low)} to ${signed(high)})`))
  return open.length === 0
    ? `No interval of the change covers zero: ${named}.`
    : `The interval of the change covers zero for ${list(open.map(({ name }) => name))}; it does not for ${named}.`
}
