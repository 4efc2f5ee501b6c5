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

/** DigitalLearningGmbH/MATH-lighteval, one config per subset. Only rows of level 5 are asked. */
export const MathRow = Schema.Struct({ problem: Schema.String, solution: Schema.String, level: Schema.String })

/** allenai/ai2_arc. */
export const ArcRow = Schema.Struct({
  question: Schema.String,
  choices: Schema.Struct({ text: Schema.Array(Schema.String), label: Schema.Array(Schema.String) }),
  answerKey: Schema.String
})

/** Rowan/hellaswag; rows without a label (its test split) are refused. */
export const HellaswagRow = Schema.Struct({
  activity_label: Schema.String,
  ctx_a: Schema.String,
  ctx_b: Schema.String,
  endings: Schema.Array(Schema.String),
  label: Schema.Union([Schema.String.check(Schema.isPattern(/^[0-3]$/)), Schema.Int])
})

/** allenai/winogrande; the gap is the first `_`. */
export const WinograndeRow = Schema.Struct({
  sentence: Schema.String.check(Schema.isPattern(/_/)),
  option1: Schema.String,
  option2: Schema.String,
  answer: Schema.Literals(["1", "2"])
})

/** truthfulqa/truthful_qa, config multiple_choice. */
export const TruthfulqaRow = Schema.Struct({
  question: Schema.String,
  mc2_targets: Schema.Struct({ choices: Schema.Array(Schema.String), labels: Schema.Array(Schema.Int) })
})

/** cais/mmlu, one config per subset. */
export const MmluRow = Schema.Struct({
  question: Schema.String,
  choices: Schema.Array(Schema.String),
  answer: Schema.Int
})

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

export const mathSubsets = [
  "algebra",
  "counting_and_prob",
  "geometry",
  "intermediate_algebra",
  "num_theory",
  "prealgebra",
  "precalculus"
] as const

export const mmluSubsets = [
  "abstract_algebra",
  "anatomy",
  "astronomy",
  "business_ethics",
  "clinical_knowledge",
  "college_biology",
  "college_chemistry",
  "college_computer_science",
  "college_mathematics",
  "college_medicine",
  "college_physics",
  "computer_security",
  "conceptual_physics",
  "econometrics",
  "electrical_engineering",
  "elementary_mathematics",
  "formal_logic",
  "global_facts",
  "high_school_biology",
  "high_school_chemistry",
  "high_school_computer_science",
  "high_school_european_history",
  "high_school_geography",
  "high_school_government_and_politics",
  "high_school_macroeconomics",
  "high_school_mathematics",
  "high_school_microeconomics",
  "high_school_physics",
  "high_school_psychology",
  "high_school_statistics",
  "high_school_us_history",
  "high_school_world_history",
  "human_aging",
  "human_sexuality",
  "international_law",
  "jurisprudence",
  "logical_fallacies",
  "machine_learning",
  "management",
  "marketing",
  "medical_genetics",
  "miscellaneous",
  "moral_disputes",
  "moral_scenarios",
  "nutrition",
  "philosophy",
  "prehistory",
  "professional_accounting",
  "professional_law",
  "professional_medicine",
  "professional_psychology",
  "public_relations",
  "security_studies",
  "sociology",
  "us_foreign_policy",
  "virology",
  "world_religions"
] as const
