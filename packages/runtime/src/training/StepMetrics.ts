// One line of metrics.jsonl per optimiser step. TRL's names where they mean the same; what nobody logs under our own.
import * as Schema from "effect/Schema"

/** All log-probabilities in nats, means over the pairs of the step, before its update. */
export const StepMetrics = Schema.Struct({
  step: Schema.Int,
  epoch: Schema.Finite,
  loss: Schema.Finite,
  learning_rate: Schema.Finite,
  /** Before clipping. */
  grad_norm: Schema.Finite,
  /** Share of the steps so far whose gradient was clipped. */
  clipped_fraction: Schema.Finite,
  /** Completion tokens per second, padding never counted. */
  tokens_per_second: Schema.Finite,
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
  "rewards/accuracies": Schema.optionalKey(Schema.Finite),
  /** Mean log-ratio per token of the chosen answers against the reference: negative when they became unlikelier. */
  "displacement/chosen": Schema.optionalKey(Schema.Finite),
  "displacement/rejected": Schema.optionalKey(Schema.Finite),
  /** Share of the absolute coefficients that falls on chosen tokens. */
  "gradient_share/chosen": Schema.optionalKey(Schema.Finite)
})
export type StepMetrics = typeof StepMetrics.Type
