// HellaSwag, how a scene goes on. https://arxiv.org/abs/1905.07830
import { HellaswagRow } from "@penchant/dsl/BenchmarkRows"
import type { ChoiceTask } from "./Task.ts"

type Row = typeof HellaswagRow.Type

/** Brackets are left over from WikiHow. */
const cleaned = (text: string): string =>
  text.trim().replaceAll(" [title]", ". ").replaceAll(/\[.*?\]/g, "").replaceAll("  ", " ")

/** As Python: the rest becomes lower case. */
const capitalised = (text: string): string => {
  const [first = "", ...rest] = text
  return first.toUpperCase() + rest.join("").toLowerCase()
}

const choicesOf = ({ endings }: Row): ReadonlyArray<string> => endings.map(cleaned)

export const hellaswag: ChoiceTask<Row> = {
  kind: "choices",
  name: "hellaswag",
  version: 1,
  row: HellaswagRow,
  description: "",
  text: ({ activity_label, ctx_a, ctx_b }) => cleaned(`${activity_label}: ${ctx_a} ${capitalised(ctx_b)}`),
  target: (row) => choicesOf(row)[Number(row.label)] ?? "",
  choices: choicesOf,
  gold: ({ label }) => Number(label),
  metrics: ["acc", "acc_norm"],
  shots: { count: 10, from: "random", drawsOneMore: true }
}
