// Which of two answers a judge prefers: the model's own against the data set's chosen one, or against another model's.
import type { Scores, Tokens, Weights } from "./Artifact.ts"
import type { BadTokens, BudgetSpent, DataError, JudgeError } from "./Errors.ts"
import type { EvaluationError, Metric } from "./Evaluation.ts"
import type { PairNeeds } from "./Normalise.ts"
import { generate, type GenerateOptions } from "./PreferenceMetrics.ts"
import { make, type Step } from "./Step.ts"

/** Who judges. `E` is what asking can fail with. */
export interface Judge<out E> {
  readonly kind: "judgedByEndpoint" | "judgedByModel"
  /** Identity. */
  readonly parameters: object
  readonly model?: Step<Weights<string>, unknown>
  /** Not identity: limits and manners of asking. */
  readonly attached?: object
  readonly _error?: E
}

export interface EndpointOptions {
  /** Tokens of an answer at most (256). */
  readonly maxTokens?: number
  /** The run stops with `BudgetSpent` before a request could go beyond it: tokens of questions and answers together ... */
  readonly tokens?: number
  /** ... or their price, in the currency of `prices`. */
  readonly cost?: number
  /** Per million tokens. */
  readonly prices?: { readonly input: number; readonly output: number }
  /** Seconds for one answer (60). */
  readonly timeout?: number
  /** Questions asked at once (4). */
  readonly concurrency?: number
}

/**
 * Any endpoint that speaks OpenAI's chat completions, at temperature 0. Address and key come from the environment:
 * PENCHANT_JUDGE_URL (or OPENAI_BASE_URL, else OpenAI's) and PENCHANT_JUDGE_KEY (or OPENAI_API_KEY). Verdicts are kept in the
 * state directory, so none is paid for twice; limits are no part of identity.
 */
const endpoint = (
  model: string,
  { maxTokens = 256, ...attached }: EndpointOptions = {}
): Judge<JudgeError | BudgetSpent> => ({ kind: "judgedByEndpoint", parameters: { model, maxTokens }, attached })

/** A model here, by its log-probabilities of the two verdicts after the question. */
const local = <E>(model: Step<Weights<string>, E>): Judge<E | EvaluationError> => ({
  kind: "judgedByModel",
  parameters: {},
  model
})

export const judge = { endpoint, local }

export interface WinRateOptions extends Omit<GenerateOptions, "samples"> {
  /** The prompt: `hh` of dialogues, `tldr` of summaries that should be concise too, `tldrSimple` of summaries. */
  readonly question: "hh" | "tldr" | "tldrSimple"
  /** Each pair in both orders (default), or in one that a seed draws for each prompt. */
  readonly order?: "both" | "seeded"
  /** What two orders that disagree count: a half (default), as a loss, or not at all. */
  readonly ties?: "half" | "loss" | "leftOut"
}

/**
 * Share of prompts of which the judge prefers the model's answer, with a bootstrap interval over prompts; `winRateControlled`
 * is what it would be at equal lengths, by the logistic model of AlpacaEval 2 on length and, where `difficulty` names a column
 * of the pairs that has it, the difficulty of each instruction. Equal answers are ties and not asked; verdicts that cannot be read leave their prompt out, counted in `winRateUnparsable`.
 */
export const winRate = <M extends string, E, EJ, E2 = never, const D extends string = never>(
  prompts: Step<Tokens<M, PairNeeds | NoInfer<`column:${D}`>>, E>,
  { against, difficulty, judge: by, order = "both", question, ties = "half", ...options }:
    & WinRateOptions
    & { readonly judge: Judge<EJ>; readonly against?: Step<Weights<NoInfer<M>>, E2>; readonly difficulty?: D }
): Metric<
  | "winRate"
  | "winRateLow"
  | "winRateHigh"
  | "winRateControlled"
  | "winRateTies"
  | "winRateUnparsable"
  | "winRateJudged",
  M,
  E | E2 | EJ | EvaluationError | DataError | BadTokens
> => {
  const asked = prompts as Step<Tokens<M, never>, E>
  return {
    name: "winRate",
    on: (model) =>
      make<Scores<never>, never>({
        kind: by.kind,
        title: `winRate of ${model.title}`,
        inputs: {
          model: by.model,
          answers: generate(model, asked, options),
          others: against === undefined ? undefined : generate(against, asked, options),
          pairs: prompts.inputs["data"]
        },
        parameters: { question, order, ties, ...(difficulty === undefined ? {} : { difficulty }), ...by.parameters },
        attached: by.attached
      }) as never
  }
}
