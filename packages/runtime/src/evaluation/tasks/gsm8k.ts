// GSM8K, grade-school mathematics by generation. https://arxiv.org/abs/2110.14168
import { Gsm8kRow } from "@penchant/dsl/BenchmarkRows"
import type { GenerationTask } from "./Task.ts"

/** lm-eval's `regex` filter: of the groups of a match, or the match itself, the first that is not empty. */
export const regexFilter = (pattern: RegExp, which: 0 | -1) => (response: string): string => {
  const match = [...response.matchAll(pattern)].at(which)
  return match === undefined
    ? "[invalid]"
    : (match.slice(1).find((group) => group !== undefined && group !== "") ?? "").trim()
}

/** In this order, on both sides. Python's `$` also matches before a final newline. */
const ignored = [/,/g, /\$/g, /[\s\S]*#### /g, /\.(?=\n?$)/g]
export const plain = (text: string): string =>
  ignored.reduce((rest, pattern) => rest.replace(pattern, ""), text).toLowerCase()

export const lastNumber = regexFilter(/(-?[$0-9.,]{2,})|(-?[0-9]+)/g, -1)

export const gsm8k: GenerationTask<typeof Gsm8kRow.Type> = {
  kind: "generation",
  name: "gsm8k",
  version: 3,
  row: Gsm8kRow,
  description: "",
  text: ({ question }) => `Question: ${question}\nAnswer:`,
  target: ({ answer }) => answer,
  until: ["Question:", "</s>", "<|im_end|>"],
  maxTokens: 256,
  filters: {
    "strict-match": regexFilter(/#### (-?[0-9.,]+)/g, 0),
    "flexible-extract": lastNumber
  },
  judge: { exact_match: (answer, target) => plain(answer) === plain(target) },
  shots: { count: 5, from: "random" }
}
