// Where the rows of benchmarks lie on the Hugging Face Hub: repositories, configs and splits are those that lm-eval 0.4.13 reads.
import type * as Schema from "effect/Schema"
import type { Rows } from "./Artifact.ts"
import type { bbhSubsets, mathSubsets, mmluSubsets, musrSubsets } from "./BenchmarkRows.ts"
import { Dataset } from "./Dataset.ts"
import type { DataError, HubError } from "./Errors.ts"
import type { Step } from "./Step.ts"

export interface Place {
  readonly id: string
  readonly config?: string
  readonly split: string
  /** The split of worked examples, where they are taken from rows. */
  readonly shots?: string
}

/** Subsets are called otherwise in the repository. */
const mathConfigs: { readonly [S in typeof mathSubsets[number]]?: string } = {
  counting_and_prob: "counting_and_probability",
  num_theory: "number_theory"
}

export const places = {
  mmluPro: { id: "TIGER-Lab/MMLU-Pro", split: "test", shots: "validation" },
  bbh: (config: typeof bbhSubsets[number]) => ({ id: "SaylorTwift/bbh", config, split: "test" }),
  musr: (split: typeof musrSubsets[number]) => ({ id: "TAUR-Lab/MuSR", split }),
  mathHard: (subset: typeof mathSubsets[number]) => ({
    id: "DigitalLearningGmbH/MATH-lighteval",
    config: mathConfigs[subset] ?? subset,
    split: "test"
  }),
  gsm8k: { id: "openai/gsm8k", config: "main", split: "test", shots: "train" },
  gsm8kCot: { id: "openai/gsm8k", config: "main", split: "test" },
  arcChallenge: { id: "allenai/ai2_arc", config: "ARC-Challenge", split: "test", shots: "train" },
  hellaswag: { id: "Rowan/hellaswag", split: "validation", shots: "train" },
  winogrande: { id: "allenai/winogrande", config: "winogrande_xl", split: "validation", shots: "train" },
  truthfulqa: { id: "truthfulqa/truthful_qa", config: "multiple_choice", split: "validation" },
  mmlu: (config: typeof mmluSubsets[number]) => ({ id: "cais/mmlu", config, split: "test", shots: "dev" })
} satisfies Record<string, Place | ((subset: never) => Place)>

type FromHub<R> = Step<Rows<R>, HubError | DataError>

/** Questions, and the rows of their worked examples. */
export const placed = <R>(
  { id, shots, ...place }: Place,
  row: Schema.Codec<R, any>
): { readonly data: FromHub<R>; readonly shotData?: FromHub<R> } => ({
  data: Dataset.hub(id, { row, ...place }),
  ...(shots === undefined ? {} : { shotData: Dataset.hub(id, { row, ...place, split: shots }) })
})
