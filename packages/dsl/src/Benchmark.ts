// Benchmarks as metrics of any model: `benchmark.gsm8k(rows)` in `evaluate` or `trajectory`. Questions, filters and numbers
// are those of lm-eval (runtime/src/evaluation/tasks); here is what a pipeline says of them. A number is named by its word,
// beside it `…Stderr`, `…Questions` asked of `…Rows` there were, `…Cut` contexts that the window cut from the left, `…Unknown`
// right answers that are not among the choices, which count as wrong, and `…HandWritten` rows that are not the benchmark's own.
import * as Schema from "effect/Schema"
import type { Rows, Scores } from "./Artifact.ts"
import { type Place, placed, places } from "./BenchmarkHub.ts"
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
  /** New tokens of an answer at most, where the task is to write one; the task's own number when absent. */
  readonly maxTokens?: number
  /** The rows are no questions of the benchmark but written in its form; said in every table. */
  readonly handWritten?: true
  /** Questions by the model's chat template: worked examples as turns of their own, or all in one user turn. */
  readonly chatTemplate?: "turns" | "oneTurn"
}

type Names<Word extends string, N> =
  | (keyof N & string)
  | `${keyof N & string}Stderr`
  | `${Word}${"Questions" | "Rows" | "Cut" | "Unknown" | "HandWritten" | "TextAlone"}`
type Failure = EvaluationError | DataError | BadTokens

/** Name of a number -> lm-eval's key. */
type Numbers = Readonly<Record<string, string>>

/** What is left undefined is not said: it is no identity. */
const given = (options: BenchmarkOptions): object =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))

const asked = (
  title: string,
  task: string,
  numbers: Numbers,
  model: Step<any>,
  data: Step<Rows<any>, unknown>,
  shotData: Step<Rows<any>, unknown> | undefined,
  options: BenchmarkOptions
): Step<Scores<never>, never> => {
  return make({
    kind: "benchmark",
    title: `${title} of ${model.title}`,
    inputs: { model, data, shotData },
    parameters: { task, numbers, ...given(options) }
  })
}

/** One task. `shotData` are the rows that worked examples come from, where the task does not write them itself. */
const single =
  <Word extends keyof typeof places, Task extends string>(word: Word, task: Task, place: Place) =>
  <R, const N extends Numbers>(row: Schema.Codec<R, any>, numbers: N) => {
    const metric = <E, E2 = never>(
      data: Step<Rows<R>, E>,
      { shotData, ...options }: BenchmarkOptions & { readonly shotData?: Step<Rows<R>, E2> } = {}
    ): Metric<Names<Word, N>, string, E | E2 | Failure> => ({
      name: word,
      questions: { [word]: data },
      on: (model) => asked(word, task, numbers, model, data, shotData, options) as never
    })
    return Object.assign(metric, {
      row,
      task,
      /** Of the rows that lm-eval reads on the Hub. */
      hub: (options: BenchmarkOptions = {}) => {
        const { data, ...shots } = placed(place, row)
        return metric(data, { ...options, ...shots })
      }
    })
  }

/** Several tasks of one shape, whose number is the mean over all their questions. Any of the subsets may be left out. */
const group = <Word extends keyof typeof places, Subset extends string, Task extends string>(
  word: Word,
  task: string,
  subsets: ReadonlyArray<Subset>,
  taskOf: (subset: Subset) => Task,
  place: (subset: Subset) => Place,
  /** Judges the answers of a task once more. */
  judged: (asked: Step<Scores<never>, never>, numbers: Numbers) => Step<Scores<never>, never> = (asked) => asked
) =>
<R, const N extends Numbers>(row: Schema.Codec<R, any>, numbers: N) => {
  type Data<E> = { readonly [S in Subset]?: Step<Rows<R>, E> }
  const every = <A>(of: (subset: Subset) => A) =>
    Object.fromEntries(subsets.map((subset) => [subset, of(subset)])) as { readonly [S in Subset]: A }
  const metric = <E, E2 = never>(
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
            : [[
              subset,
              judged(asked(subset, taskOf(subset), numbers, model, rows, shotData?.[subset], options), numbers)
            ]]
        }))
      })
  })
  return Object.assign(metric, {
    row,
    subsets,
    taskOf,
    /** Rows of every subset from one rule. */
    data: every as <E>(of: (subset: Subset) => Step<Rows<R>, E>) => Data<E>,
    /** Of the rows that lm-eval reads on the Hub. */
    hub: (options: BenchmarkOptions = {}) => {
      const all = every((subset) => placed(place(subset), row))
      const shotData = every((subset) => all[subset].shotData)
      return metric(every((subset) => all[subset].data), { ...options, shotData })
    }
  })
}

export const benchmark = {
  /** MMLU-Pro, 5 examples. https://arxiv.org/abs/2406.01574 */
  mmluPro: single("mmluPro", "leaderboard_mmlu_pro", places.mmluPro)(MmluProRow, { mmluPro: "acc,none" }),
  /** BIG-Bench Hard as multiple choice, 3 examples of its own. https://arxiv.org/abs/2210.09261 */
  bbh: group("bbh", "leaderboard_bbh", bbhSubsets, (subset) => `leaderboard_bbh_${subset}` as const, places.bbh)(
    BbhRow,
    {
      bbh: "acc_norm,none"
    }
  ),
  /** Multistep soft reasoning over stories, no examples. https://arxiv.org/abs/2310.16049 */
  musr: group("musr", "leaderboard_musr", musrSubsets, (subset) => `leaderboard_musr_${subset}` as const, places.musr)(
    MusrRow,
    {
      musr: "acc_norm,none"
    }
  ),
  /**
   * MATH, level 5, 4 examples of its own; `mathHard` takes equal values for equal, `mathHardOriginal` equal text, and what
   * sympy finds equal where Python has it; `mathHardVerified` is math-verify's, not there without it.
   * https://arxiv.org/abs/2103.03874
   */
  mathHard: group(
    "mathHard",
    "leaderboard_math_hard",
    mathSubsets,
    (subset) => `leaderboard_math_${subset}_hard` as const,
    places.mathHard,
    (asked, numbers) =>
      make({ kind: "mathEquivalence", title: `verdicts on ${asked.title}`, inputs: { asked }, parameters: { numbers } })
  )(
    MathRow,
    {
      mathHard: "exact_match_numeric,none",
      mathHardOriginal: "exact_match_original,none",
      mathHardVerified: "exact_match,none"
    }
  ),
  /** Grade-school mathematics, 5 examples; `gsm8k` wants the answer after `####`. https://arxiv.org/abs/2110.14168 */
  gsm8k: single("gsm8k", "gsm8k", places.gsm8k)(Gsm8kRow, {
    gsm8k: "exact_match,strict-match",
    gsm8kFlexible: "exact_match,flexible-extract"
  }),
  /** The same with 8 chains of thought of its own; `gsm8kCot` wants `The answer is`. https://arxiv.org/abs/2201.11903 */
  gsm8kCot: single("gsm8kCot", "gsm8k_cot", places.gsm8kCot)(Gsm8kRow, {
    gsm8kCot: "exact_match,strict-match",
    gsm8kCotFlexible: "exact_match,flexible-extract"
  }),
  /** ARC, the challenge set, 25 examples. https://arxiv.org/abs/1803.05457 */
  arcChallenge: single("arcChallenge", "arc_challenge", places.arcChallenge)(ArcRow, {
    arcChallenge: "acc_norm,none",
    arcChallengeAcc: "acc,none"
  }),
  /** HellaSwag, 10 examples. https://arxiv.org/abs/1905.07830 */
  hellaswag: single("hellaswag", "hellaswag", places.hellaswag)(HellaswagRow, {
    hellaswag: "acc_norm,none",
    hellaswagAcc: "acc,none"
  }),
  /** WinoGrande, 5 examples. https://arxiv.org/abs/1907.10641 */
  winogrande: single("winogrande", "winogrande", places.winogrande)(WinograndeRow, { winogrande: "acc,none" }),
  /** TruthfulQA, probability mass on true answers. https://arxiv.org/abs/2109.07958 */
  truthfulqa: single("truthfulqa", "truthfulqa_mc2", places.truthfulqa)(TruthfulqaRow, { truthfulqa: "acc,none" }),
  /** MMLU, 5 examples of each subject. https://arxiv.org/abs/2009.03300 */
  mmlu: group("mmlu", "mmlu", mmluSubsets, (subset) => `mmlu_${subset}` as const, places.mmlu)(MmluRow, {
    mmlu: "acc,none"
  })
}

type TaskOf<B> = B extends { readonly task: infer T } ? T
  : B extends { readonly taskOf: (subset: never) => infer T } ? T
  : never

/** Every task by lm-eval's name; the runtime has each, or does not compile. */
export type TaskName = TaskOf<(typeof benchmark)[keyof typeof benchmark]>
