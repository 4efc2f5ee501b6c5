// Benchmarks as metrics of any model: `benchmark.gsm8k(rows)` in `evaluate` or `trajectory`. Questions, filters and numbers
// are those of lm-eval (runtime/src/evaluation/tasks); here is what a pipeline says of them. A number is named by its word,
// beside it `…Stderr`, `…Questions` asked of `…Rows` there were, `…Cut` contexts that the window cut from the left, and
// `…Unknown` right answers that are not among the choices, which count as wrong.
import * as Schema from "effect/Schema"
import type { Rows, Scores } from "./Artifact.ts"
import {
  ArcRow,
  BbhRow,
  bbhSubsets,
  Gsm8kRow,
  HellaswagRow,
  MathRow,
  mathSubsets,
  MmluProRow,
  MmluRow,
  mmluSubsets,
  MusrRow,
  musrSubsets,
  TruthfulqaRow,
  WinograndeRow
} from "./BenchmarkRows.ts"
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
        questions: { [word]: data },
        on: (model) => asked(word, task, numbers, model, data, shotData, options) as never
      }),
      { row, task }
    )

/** Several tasks of one shape, whose number is the mean over all their questions. Any of the subsets may be left out. */
const group = <Word extends string, Subset extends string, Task extends string>(
  word: Word,
  task: string,
  subsets: ReadonlyArray<Subset>,
  taskOf: (subset: Subset) => Task
) =>
<R, const N extends Numbers>(row: Schema.Codec<R, any>, numbers: N) => {
  type Data<E> = { readonly [S in Subset]?: Step<Rows<R>, E> }
  return Object.assign(
    <E, E2 = never>(
      data: Data<E>,
      { shotData, ...options }: BenchmarkOptions & { readonly shotData?: Data<E2> } = {}
    ): Metric<Names<Word, N>, string, E | E2 | Failure> => ({
      name: word,
      questions: data,
      on: (model) =>
        make({
          kind: "benchmarkGroup",
          title: `${word} of ${model.title}`,
          parameters: { task, numbers },
          inputs: Object.fromEntries(subsets.flatMap((subset) => {
            const rows = data[subset]
            return rows === undefined
              ? []
              : [[subset, asked(subset, taskOf(subset), numbers, model, rows, shotData?.[subset], options)]]
          }))
        })
    }),
    {
      row,
      subsets,
      taskOf,
      /** Rows of every subset from one rule. */
      data: <E>(of: (subset: Subset) => Step<Rows<R>, E>): Data<E> =>
        Object.fromEntries(subsets.map((subset) => [subset, of(subset)])) as Data<E>
    }
  )
}

export const benchmark = {
  /** MMLU-Pro, 5 examples. https://arxiv.org/abs/2406.01574 */
  mmluPro: single("mmluPro", "leaderboard_mmlu_pro")(MmluProRow, { mmluPro: "acc,none" }),
  /** BIG-Bench Hard as multiple choice, 3 examples of its own. https://arxiv.org/abs/2210.09261 */
  bbh: group("bbh", "leaderboard_bbh", bbhSubsets, (subset) => `leaderboard_bbh_${subset}` as const)(BbhRow, {
    bbh: "acc_norm,none"
  }),
  /** Multistep soft reasoning over stories, no examples. https://arxiv.org/abs/2310.16049 */
  musr: group("musr", "leaderboard_musr", musrSubsets, (subset) => `leaderboard_musr_${subset}` as const)(MusrRow, {
    musr: "acc_norm,none"
  }),
  /**
   * MATH, level 5, 4 examples of its own; `mathHard` takes equal numbers for equal, `mathHardOriginal` equal text only.
   * https://arxiv.org/abs/2103.03874
   */
  mathHard: group(
    "mathHard",
    "leaderboard_math_hard",
    mathSubsets,
    (subset) => `leaderboard_math_${subset}_hard` as const
  )(
    MathRow,
    { mathHard: "exact_match_numeric,none", mathHardOriginal: "exact_match_original,none" }
  ),
  /** Grade-school mathematics, 5 examples; `gsm8k` wants the answer after `####`. https://arxiv.org/abs/2110.14168 */
  gsm8k: single("gsm8k", "gsm8k")(Gsm8kRow, {
    gsm8k: "exact_match,strict-match",
    gsm8kFlexible: "exact_match,flexible-extract"
  }),
  /** The same with 8 chains of thought of its own; `gsm8kCot` wants `The answer is`. https://arxiv.org/abs/2201.11903 */
  gsm8kCot: single("gsm8kCot", "gsm8k_cot")(Gsm8kRow, {
    gsm8kCot: "exact_match,strict-match",
    gsm8kCotFlexible: "exact_match,flexible-extract"
  }),
  /** ARC, the challenge set, 25 examples. https://arxiv.org/abs/1803.05457 */
  arcChallenge: single("arcChallenge", "arc_challenge")(ArcRow, {
    arcChallenge: "acc_norm,none",
    arcChallengeAcc: "acc,none"
  }),
  /** HellaSwag, 10 examples. https://arxiv.org/abs/1905.07830 */
  hellaswag: single("hellaswag", "hellaswag")(HellaswagRow, { hellaswag: "acc_norm,none", hellaswagAcc: "acc,none" }),
  /** WinoGrande, 5 examples. https://arxiv.org/abs/1907.10641 */
  winogrande: single("winogrande", "winogrande")(WinograndeRow, { winogrande: "acc,none" }),
  /** TruthfulQA, probability mass on true answers. https://arxiv.org/abs/2109.07958 */
  truthfulqa: single("truthfulqa", "truthfulqa_mc2")(TruthfulqaRow, { truthfulqa: "acc,none" }),
  /** MMLU, 5 examples of each subject. https://arxiv.org/abs/2009.03300 */
  mmlu: group("mmlu", "mmlu", mmluSubsets, (subset) => `mmlu_${subset}` as const)(MmluRow, { mmlu: "acc,none" })
}

type TaskOf<B> = B extends { readonly task: infer T } ? T
  : B extends { readonly taskOf: (subset: never) => infer T } ? T
  : never

/** Every task by lm-eval's name; the runtime has each, or does not compile. */
export type TaskName = TaskOf<(typeof benchmark)[keyof typeof benchmark]>
