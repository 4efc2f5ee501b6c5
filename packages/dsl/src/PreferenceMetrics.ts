// Metrics of pairs beyond accuracy and log-probabilities: calibration, length bias, accuracy by slices, distance from the
// reference on answers of the model's own.
import type { Tokens, Weights } from "./Artifact.ts"
import type { BadTokens } from "./Errors.ts"
import { type EvaluationError, type Metric, type Paired, paired } from "./Evaluation.ts"
import type { PairNeeds } from "./Normalise.ts"
import { make, type Step } from "./Step.ts"
import { score } from "./Train.ts"

/**
 * How far sigmoid(beta (chosen less rejected log-probability)) is to be trusted as the probability that people prefer the
 * chosen answer: `calibrationError` is the expected error over 10 bins of confidence, `brierScore` the mean squared one.
 * With `against` log-ratios take the place of log-probabilities, which is DPO's reward.
 */
export const calibration = (beta: number): Paired<"calibrationError" | "brierScore", never> =>
  paired("calibration", { beta })

/**
 * How much the model goes by length: `longerPreferred` is the share of pairs, of unequal lengths, whose longer answer is the
 * likelier per token, to be read against `longerChosen`, the share in which people chose it; `marginLengthCorrelation`
 * is Pearson's, of the margin per token with the difference of lengths. With `against`, of log-ratios.
 */
export const lengthBias: Paired<"longerPreferred" | "longerChosen" | "marginLengthCorrelation", never> = paired(
  "lengthBias"
)

/**
 * Accuracy by sums with its interval and count in parts of the pairs: quartiles of length (`accuracyLength1`, the shortest,
 * to `accuracyLength4`), turns of people in the prompt (`accuracyTurns1`, `accuracyTurns2`, `accuracyTurns3`: three and more),
 * or the sources of a `mix` or values of a numeric column. A part without pairs has no number.
 */
export const accuracyBy = <const By extends "length" | "turns" | "source" | { readonly column: string }>(
  by: By
): Paired<
  By extends "length" ? `accuracyLength${1 | 2 | 3 | 4}${"" | Interval}`
    : By extends "turns" ? `accuracyTurns${1 | 2 | 3}${"" | Interval}`
    : string,
  never
> => paired("accuracyBy", { by })
type Interval = "Low" | "High" | "Pairs"

export interface GenerateOptions {
  /** 0 is greedy. */
  readonly temperature?: number
  readonly topP?: number
  readonly topK?: number
  readonly minP?: number
  /** New tokens at most. */
  readonly maxTokens: number
  /** Answers per prompt. */
  readonly samples?: number
  /** Only the first so many prompts. */
  readonly first?: number
  /** Text that ends an answer. */
  readonly stop?: ReadonlyArray<string>
  readonly seed?: number
}

/** Answers of the model's own to the prompts of `data`. Every option is identity; a sample is the same alone and in any batch. */
export const generate = <M extends string, E1, E2>(
  model: Step<Weights<M>, E1>,
  data: Step<Tokens<NoInfer<M>, never>, E2>,
  { first, maxTokens, samples = 1, seed = 0, stop = [], temperature = 1, ...cuts }: GenerateOptions
): Step<Tokens<M, "side:answer">, E1 | E2 | EvaluationError | BadTokens> =>
  make({
    kind: "generate",
    title: `answers of ${model.title}`,
    inputs: { model, data },
    parameters: {
      sampling: { temperature, ...cuts },
      maxTokens,
      samples,
      stop,
      seed,
      ...(first === undefined ? {} : { first })
    }
  })

/**
 * Kullback-Leibler divergence from the reference, of whole answers that the model samples at temperature 1, in nats:
 * the mean of log p(answer) - log reference(answer), an unbiased estimate that can come out below zero. Answers end after
 * `maxTokens`, and so does what is compared.
 */
export const sequenceKl = <M extends string, E, E2>(
  data: Step<Tokens<M, PairNeeds>, E>,
  { reference, ...options }:
    & { readonly reference: Step<Weights<NoInfer<M>>, E2> }
    & Pick<GenerateOptions, "maxTokens" | "samples" | "first" | "seed">
): Metric<
  "sequenceKl" | "sequenceKlLow" | "sequenceKlHigh" | "sequenceKlPerToken",
  M,
  E | E2 | EvaluationError | BadTokens
> => ({
  name: "sequenceKl",
  on: (model) => {
    const own = generate(model, data as Step<Tokens<M, never>, E>, options)
    return make({
      kind: "divergence",
      title: `sequenceKl of ${model.title}`,
      inputs: { scores: score(model, own), data: own, against: score(reference, own) }
    })
  }
})
