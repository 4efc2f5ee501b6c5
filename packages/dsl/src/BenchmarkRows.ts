// The rows of benchmark data sets as they lie on the Hub, by the word that asks them. Fields that no task reads are left out.
import * as Schema from "effect/Schema"

/** TIGER-Lab/MMLU-Pro. The answer is the letter: `answer_index` of row 3983 disagrees with it. */
export const MmluProRow = Schema.Struct({
  question: Schema.String,
  options: Schema.Array(Schema.String),
  answer: Schema.String
})

/** SaylorTwift/bbh, one config per subset. */
export const BbhRow = Schema.Struct({ input: Schema.String, target: Schema.String })

/** TAUR-Lab/MuSR, one split per subset; `choices` is a Python list written out there, and a list is taken too. */
export const MusrRow = Schema.Struct({
  narrative: Schema.String,
  question: Schema.String,
  choices: Schema.Union([Schema.String, Schema.Array(Schema.String)]),
  answer_choice: Schema.String
})

/** openai/gsm8k, config main. */
export const Gsm8kRow = Schema.Struct({ question: Schema.String, answer: Schema.String })

export const bbhSubsets = [
  "boolean_expressions",
  "causal_judgement",
  "date_understanding",
  "disambiguation_qa",
  "formal_fallacies",
  "geometric_shapes",
  "hyperbaton",
  "logical_deduction_five_objects",
  "logical_deduction_seven_objects",
  "logical_deduction_three_objects",
  "movie_recommendation",
  "navigate",
  "object_counting",
  "penguins_in_a_table",
  "reasoning_about_colored_objects",
  "ruin_names",
  "salient_translation_error_detection",
  "snarks",
  "sports_understanding",
  "temporal_sequences",
  "tracking_shuffled_objects_five_objects",
  "tracking_shuffled_objects_seven_objects",
  "tracking_shuffled_objects_three_objects",
  "web_of_lies"
] as const

export const musrSubsets = ["murder_mysteries", "object_placements", "team_allocation"] as const
