// MMLU-Pro as letters, five examples that are the same for every question. https://arxiv.org/abs/2406.01574
import { MmluProRow } from "@penchant/dsl/BenchmarkRows"
import type { ChoiceTask } from "./Task.ts"

type MmluProRow = typeof MmluProRow.Type

const lettersOf = ({ options }: MmluProRow): ReadonlyArray<string> => [..."ABCDEFGHIJ"].slice(0, options.length)

export const mmluPro: ChoiceTask<MmluProRow> = {
  kind: "choices",
  name: "leaderboard_mmlu_pro",
  version: 0.1,
  row: MmluProRow,
  description: "",
  text: (row) => `${row.question}\n${lettersOf(row).map((l, i) => `${l}. ${row.options[i]}\n`).join("")}Answer:`,
  target: ({ answer }) => answer,
  choices: lettersOf,
  gold: (row) => lettersOf(row).indexOf(row.answer),
  metrics: ["acc"],
  shots: { count: 5, from: "first" }
}
