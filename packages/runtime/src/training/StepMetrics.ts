// One line of metrics.jsonl per optimiser step. TRL's names where they mean the same; what nobody logs under our own.
// Leaves out every time and rate: the file is part of an artifact, and equal runs must leave equal bytes. Tokens per
// second go to the progress events.
import * as Schema from "effect/Schema"

/** All log-probabilities in nats, means over the pairs of the step, before its update. */
export const StepMetrics = Schema.Struct({
  /** 1-based. */
  step: Schema.Int,
  /** Passes over the data after this step. */
  epoch: Schema.Finite,
  loss: Schema.Finite,
  learning_rate: Schema.Finite,
  /** Before clipping. */
  grad_norm: Schema.Finite,
  /** Share of the steps so far whose gradient was clipped. */
  clipped_fraction: Schema.Finite,
  /** Completion tokens trained on so far, this step included; padding never counted. */
  num_tokens: Schema.Int,
  /** Sums over the answer. Absent sides are left out, as is what needs a reference when there is none. */
  "logps/chosen": Schema.optionalKey(Schema.Finite),
  "logps/rejected": Schema.optionalKey(Schema.Finite),
  /** Per token of each answer. */
  "logps_per_token/chosen": Schema.optionalKey(Schema.Finite),
  "logps_per_token/rejected": Schema.optionalKey(Schema.Finite),
  /** beta * log-ratio (beta 1 for objectives without one), as TRL logs it. */
  "rewards/chosen": Schema.optionalKey(Schema.Finite),
  "rewards/rejected": Schema.optionalKey(Schema.Finite),
  "rewards/margins": Schema.optionalKey(Schema.Finite),
  /** Share of pairs whose chosen answer has the larger reward, ties a half. */
  "rewards/accuracies": Schema.optionalKey(Schema.Finite),
  /** Mean log-ratio per token of the chosen answers against the reference: negative when they became unlikelier. */
  "displacement/chosen": Schema.optionalKey(Schema.Finite),
  "displacement/rejected": Schema.optionalKey(Schema.Finite),
  /** Share of the absolute coefficients that falls on chosen tokens. */
  "gradient_share/chosen": Schema.optionalKey(Schema.Finite),
  /** Share of pairs whose coefficients have shrunk below 2 % of what they are where policy and reference agree. */
  saturated_fraction: Schema.Finite,
  /** Means of the objective's own metrics, by its names. */
  objective: Schema.optionalKey(Schema.Record(Schema.String, Schema.Finite))
})
export type StepMetrics = typeof StepMetrics.Type

/** The same numbers with their names in the order above, however they came about: equal runs leave equal lines. */
export const inOrder = (line: StepMetrics): StepMetrics =>
  Object.fromEntries(
    Object.keys(StepMetrics.fields).flatMap((name) => {
      const value = line[name as keyof StepMetrics]
      return value === undefined ? [] : [[name, value]]
    })
  ) as StepMetrics
