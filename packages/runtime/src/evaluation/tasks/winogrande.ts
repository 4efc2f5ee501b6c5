// WinoGrande: which of two fills the gap, told by what follows it. https://arxiv.org/abs/1907.10641
import { WinograndeRow } from "@penchant/dsl/BenchmarkRows"
import type { ChoiceTask } from "./Task.ts"

type Row = typeof WinograndeRow.Type

const contextsOf = ({ option1, option2, sentence }: Row): ReadonlyArray<string> =>
  [option1, option2].map((option) => sentence.slice(0, sentence.indexOf("_")) + option)
const restOf = ({ sentence }: Row): string => sentence.slice(sentence.indexOf("_") + 1).trim()
const goldOf = ({ answer }: Row): number => Number(answer) - 1

export const winogrande: ChoiceTask<Row> = {
  kind: "choices",
  name: "winogrande",
  version: 1,
  row: WinograndeRow,
  description: "",
  text: (row) => contextsOf(row)[goldOf(row)]!,
  target: restOf,
  choices: contextsOf,
  gap: (row) => ({ contexts: contextsOf(row), continuation: ` ${restOf(row)}` }),
  gold: goldOf,
  metrics: ["acc"],
  shots: { count: 5, from: "random", drawsOneMore: true }
}
