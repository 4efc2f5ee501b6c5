// MATH, level 5, four worked examples. https://arxiv.org/abs/2103.03874
// Examples and tables are those of EleutherAI/lm-evaluation-harness@4e7e0d47f33b, lm_eval/tasks/leaderboard/math (MIT).
// Leaves out sympy and math-verify: see mathEquivalence.ts.
import { MathRow, type mathSubsets } from "@penchant/dsl/BenchmarkRows"
import { sameValue } from "./latexValue.ts"
import tables from "./mathShots.json" with { type: "json" }
import type { GenerationTask } from "./Task.ts"

type Row = typeof MathRow.Type

/** The content of the last `\\boxed{}`; undefined where there is none. */
export const boxed = (solution: string): string | undefined => {
  if (solution.includes("\\boxed ")) return solution.split("\\boxed ").at(-1)!.split("$")[0]!
  const from = solution.lastIndexOf("\\boxed")
  if (from < 0) return undefined
  let open = 0
  for (let i = from; i < solution.length; i++) {
    if (solution[i] === "{") open += 1
    if (solution[i] === "}" && --open === 0) return solution.slice(solution.indexOf("{", from) + 1, i)
  }
  return undefined
}

/** Minerva's normalisation, rule by rule in its order. https://arxiv.org/abs/2206.14858, appendix D */
export const normalised = (answer: string): string => {
  let text = answer.split("=").at(-1)!
  for (const [before, after] of tables.substitutions) text = text.replaceAll(before!, () => after!)
  for (const expression of tables.removed) text = text.replaceAll(expression, "")
  text = text
    .replaceAll(/.*?\$(.*?)\$.*/g, (_, inside: string) => `$${inside}$`)
    .replaceAll(/\\text\{(.*?)\}/g, "$1")
    .replaceAll(/\\textbf\{(.*?)\}/g, "$1")
    .replaceAll(/\\overline\{(.*?)\}/g, "$1")
    .replaceAll(/\\boxed\{(.*)\}/g, "$1")
    .replaceAll(/frac([^{])(.)/g, "frac{$1}{$2}")
    .replaceAll(/sqrt([^{])/g, "sqrt{$1}")
    .replaceAll("$", "")
  const plain = text.replaceAll(",", "")
  return /^\d+$/.test(plain) ? plain : text
}

/** What the response ends in, normalised; undefined where it does not end as the examples do. */
export const answerOf = (response: string): string | undefined => {
  const [, answer] = /Final Answer: The final answer is(.*?). I hope it is correct./.exec(
    `${response}I hope it is correct.`
  ) ?? []
  return answer === undefined ? undefined : normalised(answer.trim()).trim()
}

/** Both in one way of writing, where both are there. */
const compared = (response: string, target: string, same: (ours: string, theirs: string) => boolean): boolean => {
  const ours = answerOf(response)
  return ours !== undefined && target !== "" && same(ours, normalised(target).trim())
}
const sameText = (a: string, b: string): boolean => a === b
export const mathHard = (subset: typeof mathSubsets[number]): GenerationTask<Row> => ({
  kind: "generation",
  name: `leaderboard_math_${subset}_hard`,
  version: 3,
  row: MathRow,
  keep: ({ level }) => level === "Level 5",
  description: "",
  text: ({ problem }) => `Problem:\n${problem}\n\nSolution:`,
  target: ({ solution }) => boxed(solution) ?? "",
  until: ["Problem:"],
  maxTokens: 1024,
  filters: { none: (response) => response },
  judge: {
    exact_match_original: (response, target) => compared(response, target, sameText),
    exact_match_numeric: (response, target) => compared(response, target, (a, b) => sameText(a, b) || sameValue(a, b))
  },
  shots: { count: 4, from: "fixed", fixed: tables.samples, target: ({ solution }) => solution }
})
