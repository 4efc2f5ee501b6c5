// MuSR, multistep soft reasoning over stories, without examples. https://arxiv.org/abs/2310.16049
import { MusrRow, type musrSubsets } from "@penchant/dsl/BenchmarkRows"
import type { ChoiceTask } from "./Task.ts"

type MusrRow = typeof MusrRow.Type

const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r" }

/** A Python list of strings, in single or double quotes. */
export const pythonList = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/gs)].map(([, single, double]) =>
    (single ?? double)!.replace(/\\(.)/gs, (_, c: string) => escapes[c] ?? c)
  )

const choicesOf = ({ choices }: MusrRow): ReadonlyArray<string> =>
  typeof choices === "string" ? pythonList(choices) : choices

export const musr = (domain: typeof musrSubsets[number]): ChoiceTask<MusrRow> => ({
  kind: "choices",
  name: `leaderboard_musr_${domain}`,
  version: 1,
  row: MusrRow,
  description: "",
  text: (row) =>
    `${row.narrative}\n\n${row.question}\n\n${choicesOf(row).map((c, i) => `${i + 1} - ${c}\n`).join("")}\nAnswer:`,
  target: ({ answer_choice }) => answer_choice,
  choices: choicesOf,
  gold: (row) => choicesOf(row).indexOf(row.answer_choice),
  metrics: ["acc_norm"],
  shots: { count: 0, from: "first" }
})
