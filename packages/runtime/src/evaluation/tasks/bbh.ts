// BIG-Bench Hard as multiple choice, the 24 tasks of the Open LLM Leaderboard 2. https://arxiv.org/abs/2210.09261
import { BbhRow, type bbhSubsets } from "@penchant/dsl/BenchmarkRows"
import { bbhShots } from "./bbhShots.ts"
import type { ChoiceTask } from "./Task.ts"

/** A target that is not among the task's fixed choices has no index: three real rows are so. */
export const bbh = (name: typeof bbhSubsets[number]): ChoiceTask<typeof BbhRow.Type> => {
  const { choices, description, samples } = bbhShots[name]
  return {
    kind: "choices",
    name: `leaderboard_bbh_${name}`,
    version: 1,
    row: BbhRow,
    description,
    text: ({ input }) => `Q: ${input}\nA:`,
    target: ({ target }) => target,
    choices: () => choices,
    gold: ({ target }) => choices.indexOf(target),
    metrics: ["acc_norm"],
    shots: { count: 3, from: "fixed", fixed: samples }
  }
}
