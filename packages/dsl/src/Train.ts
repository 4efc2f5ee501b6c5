// Training: an objective, a start, data, a recipe. The graph adapts to the objective: one that mentions a reference gets
// a `score` step for it; one that does not, does not, and giving it one does not compile.
import type { LogProbs, Tokens, Trained, Weights } from "./Artifact.ts"
import type { CheckpointMismatch, ComputeError, ModelError, NonFiniteLoss, ReferenceMismatch } from "./Errors.ts"
import type { DataNeed, Need } from "./Formula.ts"
import { identityOf, labelOf, needsOf, type Objective } from "./Objective.ts"
import { type Precision, recipe, type RecipeOptions } from "./Recipe.ts"
import { make, type Step } from "./Step.ts"

export type TrainError = NonFiniteLoss | ReferenceMismatch | CheckpointMismatch | ComputeError | ModelError

type ReferenceInput<N extends Need, M extends string, E> = "reference" extends N
  ? { readonly reference?: Step<Weights<M>, E> }
  : { readonly reference?: never }
type DataOf<N extends Need> = Extract<N, DataNeed>

/**
 * Log-probability of every completion token under a model: the cached reference, and what every metric reads. The reference of
 * a training in bfloat16 is scored in bfloat16, so that both begin equal.
 */
export const score = <M extends string, E1, E2>(
  model: Step<Weights<M>, E1>,
  data: Step<Tokens<NoInfer<M>, never>, E2>,
  { precision = "float32" }: { readonly precision?: Precision } = {}
): Step<LogProbs, E1 | E2 | ComputeError | ModelError> =>
  make({
    kind: "score",
    title: `score ${model.title} on ${data.title}`,
    inputs: { model, data },
    parameters: precision === "float32" ? {} : { precision }
  })

/**
 * Trains `model` on `data`. `reference` defaults to the start; it is scored once and cached, for every objective, beta,
 * seed and learning rate.
 */
export const train = <N extends Need, M extends string, E1, E2, E3 = never>(
  objective: Objective<N>,
  inputs:
    & {
      readonly model: Step<Weights<M>, E1>
      readonly data: Step<Tokens<NoInfer<M>, DataOf<NoInfer<N>>>, E2>
    }
    & ReferenceInput<N, NoInfer<M>, E3>,
  options: RecipeOptions = {}
): Step<Trained<M>, TrainError | E1 | E2 | E3> => {
  const { model, data } = inputs
  const complete = recipe(options)
  const start: Step<Weights<M>, E1 | E3> = inputs.reference ?? model
  const reference = needsOf(objective).has("reference")
    ? score(start, data as Step<Tokens<M, never>, E2>, complete)
    : undefined
  return make({
    kind: "train",
    title: `train ${labelOf(objective)}`,
    inputs: { model, data, reference },
    parameters: { objective: identityOf(objective), recipe: complete },
    attached: { objective }
  })
}

/** Trains longer: an edge from the optimiser's state, not a mutation. The schedule restarts at the cursor, over the new horizon. */
export const extend = <M extends string, E>(
  trained: Step<Trained<M>, E>,
  options: RecipeOptions
): Step<Trained<M>, E | TrainError> => {
  const { data, reference } = trained.inputs
  const { objective, recipe: before } = trained.parameters as { objective: unknown; recipe: RecipeOptions }
  return make({
    kind: "extend",
    title: `extend ${trained.title}`,
    inputs: { trained, data, reference },
    parameters: { objective, recipe: recipe({ ...before, ...options }) },
    attached: trained.attached
  })
}

/** Snapshot `index` (0-based) of a run that kept some, as weights. */
export const snapshot = <M extends string, E>(trained: Step<Trained<M>, E>, index: number): Step<Weights<M>, E> =>
  make({
    kind: "snapshot",
    title: `${trained.title} snapshot ${index + 1}`,
    inputs: { trained },
    parameters: { index }
  })
