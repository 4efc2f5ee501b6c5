// How long a run is, which pairs each step takes, and at which learning rate. transformers' rule, restated.
import { seed } from "@penchant/dsl/Identity"
import type { Recipe } from "@penchant/dsl/Recipe"
import { permutation } from "../platform/random.ts"

type Rate = (progress: number) => number

/** After warm-up, as a share of the peak; `progress` runs from 0 at its end to 1 after the last step. */
const shapes: Record<Recipe["schedule"], Rate> = {
  constant: () => 1,
  linear: (progress) => Math.max(0, 1 - progress),
  cosine: (progress) => Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)))
}

/** The rate of the update after which `step + 1` are done, of `steps`: 0 at the first whenever there is a warm-up. */
export const learningRate = (
  recipe: Pick<Recipe, "learningRate" | "schedule" | "warmupRatio">,
  step: number,
  steps: number
): number => {
  const warm = Math.ceil(steps * recipe.warmupRatio)
  if (step < warm) return recipe.learningRate * (step / Math.max(1, warm))
  return recipe.learningRate * shapes[recipe.schedule]((step - warm) / Math.max(1, steps - warm))
}

export const stepsPerEpoch = (pairs: number, batchSize: number): number => Math.ceil(pairs / batchSize)

/** [pairs] the order of one epoch: from the stream `train/order/epoch-k`, or as the data has it. */
export const orderOf = (recipe: Pick<Recipe, "order" | "seed">, pairs: number, epoch: number): Int32Array =>
  recipe.order === "given"
    ? Int32Array.from({ length: pairs }, (_, i) => i)
    : permutation(pairs, seed(recipe.seed, `train/order/epoch-${epoch}`))

/** The steps (1-based, of `steps`) after which weights are kept: evenly spaced, the last one included. */
export const snapshotSteps = (snapshots: number, steps: number): ReadonlyArray<number> =>
  Array.from({ length: snapshots }, (_, i) => Math.ceil((i + 1) * steps / snapshots))
