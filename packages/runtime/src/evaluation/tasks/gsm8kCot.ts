// GSM8K with eight chains of thought. https://arxiv.org/abs/2201.11903
// The examples are those of EleutherAI/lm-evaluation-harness@4e7e0d47f33b, lm_eval/tasks/gsm8k/gsm8k-cot.yaml (MIT).
import { Gsm8kRow } from "@penchant/dsl/BenchmarkRows"
import { lastNumber, plain, regexFilter } from "./gsm8k.ts"
import fixed from "./gsm8kCotShots.json" with { type: "json" }
import type { GenerationTask } from "./Task.ts"

export const gsm8kCot: GenerationTask<typeof Gsm8kRow.Type> = {
  kind: "generation",
  name: "gsm8k_cot",
  version: 3,
  row: Gsm8kRow,
  description: "",
  text: ({ question }) => `Q: ${question}\nA:`,
  // The number after `####`; a chain of thought is whole.
  target: ({ answer }) => answer.split("####").at(-1)!.trim(),
  until: ["Q:", "</s>", "<|im_end|>"],
  maxTokens: 256,
  filters: { "strict-match": regexFilter(/The answer is (-?[0-9.,]+)[^\n]/g, 0), "flexible-extract": lastNumber },
  judge: { exact_match: (answer, target) => plain(answer) === plain(target) },
  shots: { count: 8, from: "fixed", fixed }
}
