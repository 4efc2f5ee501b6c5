// MMLU by subject. https://arxiv.org/abs/2009.03300
import { MmluRow, type mmluSubsets } from "@penchant/dsl/BenchmarkRows"
import type { ChoiceTask } from "./Task.ts"

const letters = [..."ABCD"]

export const mmlu = (subject: typeof mmluSubsets[number]): ChoiceTask<typeof MmluRow.Type> => ({
  kind: "choices",
  name: `mmlu_${subject}`,
  version: 1,
  row: MmluRow,
  description: `The following are multiple choice questions (with answers) about ${subject.replaceAll("_", " ")}.\n\n`,
  text: ({ choices, question }) =>
    `${question.trim()}\n${letters.map((letter, i) => `${letter}. ${choices[i]}\n`).join("")}Answer:`,
  target: ({ answer }) => letters[answer] ?? "",
  choices: () => letters,
  gold: ({ answer }) => letters[answer] === undefined ? -1 : answer,
  metrics: ["acc"],
  shots: { count: 5, from: "first" }
})
