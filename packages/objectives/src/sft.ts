// Supervised fine-tuning: `train` with the negative log-likelihood of the chosen answers. One loop for everything.
import type { Tokens, Trained, Weights } from "@penchant/dsl/Artifact"
import type { RecipeOptions } from "@penchant/dsl/Recipe"
import type { Step } from "@penchant/dsl/Step"
import { train, type TrainError } from "@penchant/dsl/Train"
import { nll } from "./nll.ts"

/** Trains on the chosen answers. `reduction: "token"` (default) weighs every token alike, `"sequence"` every answer. */
export const sft = <M extends string, E1, E2>(
  inputs: { readonly model: Step<Weights<M>, E1>; readonly data: Step<Tokens<NoInfer<M>, "side:chosen">, E2> },
  { reduction = "token", ...recipe }: RecipeOptions & { readonly reduction?: "token" | "sequence" } = {}
): Step<Trained<M>, TrainError | E1 | E2> => train(nll({ reduction }), inputs, recipe)
