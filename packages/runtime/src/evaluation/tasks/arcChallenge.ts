// ARC, the questions that retrieval gets wrong. https://arxiv.org/abs/1803.05457
import { ArcRow } from "@penchant/dsl/BenchmarkRows"
import type { ChoiceTask } from "./Task.ts"

const goldOf = ({ answerKey, choices }: typeof ArcRow.Type): number => choices.label.indexOf(answerKey)

export const arcChallenge: ChoiceTask<typeof ArcRow.Type> = {
  kind: "choices",
  name: "arc_challenge",
  version: 1,
  row: ArcRow,
  description: "",
  text: ({ question }) => `Question: ${question}\nAnswer:`,
  target: (row) => row.choices.text[goldOf(row)] ?? "",
  choices: ({ choices }) => choices.text,
  gold: goldOf,
  metrics: ["acc", "acc_norm"],
  shots: { count: 25, from: "random" }
}
