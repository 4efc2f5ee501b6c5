// Benchmarks as metrics of any model: `benchmark.gsm8k(rows)` in `evaluate` or `trajectory`. Questions, filters and numbers
// are those of lm-eval (runtime/src/evaluation/tasks); here is what a pipeline says of them. A number is named by its word,
// beside it `…Stderr`, `…Questions` asked of `…Rows` there were, `…Cut` contexts that the window cut from the left, and
// `…Unknown` right answers that are not among the choices, which count as wrong.
import * as Schema from "effect/Schema"
import type { Rows, Scores } from "./Artifact.ts"
import { BbhRow, bbhSubsets, Gsm8kRow, MmluProRow, MusrRow, musrSubsets } from "./BenchmarkRows.ts"
import type { BadTokens, DataError } from "./Errors.ts"
import type { EvaluationError, Metric } from "./Evaluation.ts"
import { make, type Step } from "./Step.ts"

export interface BenchmarkOptions {
  /** Only the first so many questions, of each subset: identity, and said in every table. */
  readonly first?: number
  /** Worked examples before each question, where the task does not fix them. */
  readonly shots?: number
  /** Questions by the model's chat template: worked examples as turns of their own, or all in one user turn. */
  readonly chatTemplate?: "turns" | "oneTurn"
}

type Names<Word extends string, N> =
  | (keyof N & string)
  | `${keyof N & string}Stderr`
  | `${Word}${"Questions" | "Rows" | "Cut" | "Unknown"}`
type Failure = EvaluationError | DataError | BadTokens

/** Name of a number -> lm-eval's key. */
type Numbers = Readonly<Record<string, string>>

const asked = (
  title: string,
  task: string,
  numbers: Numbers,
  model: Step<any>,
  data: Step<Rows<any>, unknown>,
  shotData: Step<Rows<any>, unknown> | undefined,
  options: BenchmarkOptions
): Step<Scores<never>, never> => {
  const { chatTemplate, first, shots } = options
  return make({
    kind: "benchmark",
    title: `${title} of ${model.title}`,
    inputs: { model, data, shotData },
    parameters: {
      task,
      numbers,
      ...(first === undefined ? {} : { first }),
      ...(shots === undefined ? {} : { shots }),
      ...(chatTemplate === undefined ? {} : { chatTemplate })
    }
  })
}

/** One task. `shotData` are the rows that worked examples come from, where the task does not write them itself. */
const single =
  <Word extends string, Task extends string>(word: Word, task: Task) =>
  <R, const N extends Numbers>(row: Schema.Codec<R, any>, numbers: N) =>
    Object.assign(
      <E, E2 = never>(
        data: Step<Rows<R>, E>,
        { shotData, ...options }: BenchmarkOptions & { readonly shotData?: Step<Rows<R>, E2> } = {}
      ): Metric<Names<Word, N>, string, E | E2 | Failure> => ({
        name: word,
        on: (model) => asked(word, task, numbers, model, data, shotData, options) as never
      }),
      { row, task }
    )

/** Several tasks of one shape, whose number is the mean over all their questions. Any of the subsets may be left out. */
const group = <Word extends string, Task extends string, Subset extends string>(
  word: Word,
  task: Task,
  subsets: ReadonlyArray<Subset>
) =>
<R, const N extends Numbers>(row: Schema.Codec<R, any>, numbers: N) => {
  type Data<E> = { readonly [S in Subset]?: Step<Rows<R>, E> }
  return Object.assign(
    <E, E2 = never>(
      data: Data<E>,
      { shotData, ...options }: BenchmarkOptions & { readonly shotData?: Data<E2> } = {}
    ): Metric<Names<Word, N>, string, E | E2 | Failure> => ({
      name: word,
      on: (model) =>
        make({
          kind: "benchmarkGroup",
          title: `${word} of ${model.title}`,
          parameters: { task, numbers },
          inputs: Object.fromEntries(subsets.flatMap((subset) => {
            const rows = data[subset]
            return rows === undefined
              ? []
              : [[
                subset,
                asked(subset, `${task}_${subset}`, numbers, model, rows, shotData?.[subset], options)
              ]]
          }))
        })
    }),
    { row, subsets, task: undefined as unknown as `${Task}_${Subset}` }
  )
}

export const benchmark = {
  /** MMLU-Pro, 5 examples. https://arxiv.org/abs/2406.01574 */
  mmluPro: single("mmluPro", "leaderboard_mmlu_pro")(MmluProRow, { mmluPro: "acc,none" }),
  /** BIG-Bench Hard as multiple choice, 3 examples of its own. https://arxiv.org/abs/2210.09261 */
  bbh: group("bbh", "leaderboard_bbh", bbhSubsets)(BbhRow, { bbh: "acc_norm,none" }),
  /** Multistep soft reasoning over stories, no examples. https://arxiv.org/abs/2310.16049 */
  musr: group("musr", "leaderboard_musr", musrSubsets)(MusrRow, { musr: "acc_norm,none" }),
  /** Grade-school mathematics, 5 examples; `gsm8k` wants the answer after `####`. https://arxiv.org/abs/2110.14168 */
  gsm8k: single("gsm8k", "gsm8k")(Gsm8kRow, {
    gsm8k: "exact_match,strict-match",
    gsm8kFlexible: "exact_match,flexible-extract"
  })
}

/** Every task by lm-eval's name; the runtime has each, or does not compile. */
export type TaskName = (typeof benchmark)[keyof typeof benchmark]["task"]
