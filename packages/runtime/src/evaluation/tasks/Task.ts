// What a benchmark task states: the schema of its rows, how a row reads as a prompt, its answers, and how they are judged.
// Semantics are lm-eval's: https://github.com/EleutherAI/lm-evaluation-harness. Leaves out models and files.
import type * as Schema from "effect/Schema"

interface Common<R> {
  /** lm-eval's name, a key of results files. */
  readonly name: string
  /** lm-eval's. */
  readonly version: number
  readonly row: Schema.Codec<R, any>
  /** Rows that are asked; all where nothing is said. */
  readonly keep?: (row: R) => boolean
  /** Put before everything, with nothing in between. */
  readonly description: string | ((row: R) => string)
  readonly text: (row: R) => string
  /** The right answer; in a worked example it follows `text`. */
  readonly target: (row: R) => string
  readonly shots: {
    readonly count: number
    /** Written with the task, or taken from rows given beside the questions. */
    readonly from: "fixed" | "first" | "random"
    readonly fixed?: ReadonlyArray<R>
    /** What follows `text` where that is not `target`. */
    readonly target?: (row: R) => string
    /** lm-eval draws one more and drops the question itself when both come from splits of one name. */
    readonly drawsOneMore?: boolean
  }
}

export interface ChoiceTask<R> extends Common<R> {
  readonly kind: "choices"
  readonly choices: (row: R) => ReadonlyArray<string>
  /** Index of the right answer; -1 for one that is not among the choices, which is counted and wrong. */
  readonly gold: (row: R) => number
  /** `mc2`: probability mass on the choices that `right` names. */
  readonly metrics: ReadonlyArray<"acc" | "acc_norm" | "mc2">
  readonly right?: (row: R) => ReadonlyArray<boolean>
  /** Where choices fill a gap in the text: the contexts, and the one continuation they share. */
  readonly gap?: (row: R) => { readonly contexts: ReadonlyArray<string>; readonly continuation: string }
}

export interface GenerationTask<R> extends Common<R> {
  readonly kind: "generation"
  readonly until: ReadonlyArray<string>
  readonly maxTokens: number
  /** Named filters: from the response to an answer. */
  readonly filters: Readonly<Record<string, (response: string) => string>>
  /** Metric keys, without the filter's name: whether a filtered answer is right, given `target`. */
  readonly judge: Readonly<Record<string, (answer: string, target: string) => boolean>>
}

export type Task<R = any> = ChoiceTask<R> | GenerationTask<R>
