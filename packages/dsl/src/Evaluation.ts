// Metrics on held-out data, one cached node each, joined into a row of named numbers or a curve over snapshots.
import type { Curve, Scores, Tokens, Trained, Weights } from "./Artifact.ts"
import type { ComputeError, ModelError } from "./Errors.ts"
import { assertClean } from "./Noise.ts"
import type { PairNeeds } from "./Normalise.ts"
import { type AnyStep, make, type Step } from "./Step.ts"
import { score, snapshot } from "./Train.ts"

/** Metrics that ship; the runtime has one implementation for each, or does not compile. */
export type MetricName =
  | "preferenceAccuracy"
  | "chosenLogProb"
  | "rejectedLogProb"
  | "margin"
  | "calibration"
  | "lengthBias"
  | "accuracyBy"

/** A metric of any model with tokenizer `M`; `T` are the names of its numbers. */
export interface Metric<in T extends string, in M extends string, out E> {
  readonly name: string
  readonly on: (model: Step<Weights<M>>) => Step<Scores<T>, E>
  /** Rows that a benchmark asks, by subset: they are looked for in what the model was trained on. */
  readonly questions?: Readonly<Record<string, AnyStep | undefined>>
}

export type EvaluationError = ComputeError | ModelError

export interface Paired<T extends string, Change extends string> {
  <M extends string, E>(data: Step<Tokens<M, PairNeeds>, E>): Metric<T, M, E | EvaluationError>
  <M extends string, E, E2>(
    data: Step<Tokens<M, PairNeeds>, E>,
    options: { readonly against: Step<Weights<NoInfer<M>>, E2> }
  ): Metric<T | Change, M, E | E2 | EvaluationError>
}

/** `parameters` are identity, and tell two metrics of one name apart. */
export const paired = <T extends string, Change extends string>(
  name: MetricName,
  parameters: Readonly<Record<string, unknown>> = {}
): Paired<T, Change> => {
  const metric = (
    data: Step<Tokens<string, never>, unknown>,
    options: { readonly against?: Step<Weights<string>, unknown> } = {}
  ): Metric<string, string, unknown> => {
    assertClean(data, name)
    return {
      name: [name, ...Object.values(parameters).map((value) => JSON.stringify(value))].join(" "),
      on: (model) =>
        make({
          kind: "metric",
          title: `${name} of ${model.title}`,
          inputs: {
            scores: score(model, data),
            data,
            // The texts that the tokens were made of.
            pairs: parameters["by"] === "turns" ? data.inputs["data"] : undefined,
            against: options.against === undefined ? undefined : score(options.against, data)
          },
          parameters: { name, ...parameters }
        })
    }
  }
  return metric as unknown as Paired<T, Change>
}

/**
 * Share of pairs whose chosen answer is the likelier one, ties a half, by sums (`preferenceAccuracy`, with a bootstrap
 * interval over the held-out pairs) and by means per token. Beside it what it must be read against: the share that
 * "shorter wins" alone would get, and the accuracy on pairs of nearly equal length. `against` adds the paired change.
 */
export const preferenceAccuracy: Paired<
  | "preferenceAccuracy"
  | "preferenceAccuracyLow"
  | "preferenceAccuracyHigh"
  | "preferenceAccuracyMean"
  | "shorterWins"
  | "lengthMatchedAccuracy"
  | "lengthMatchedPairs",
  "accuracyChange" | "accuracyChangeLow" | "accuracyChangeHigh"
> = paired("preferenceAccuracy")

type Interval<T extends string> = T | `${T}Low` | `${T}High`

/** Log-probability per token of the chosen answers, mean over pairs, in nats; `against` adds its change (displacement). */
export const chosenLogProb: Paired<"chosenLogProb", Interval<"chosenChange">> = paired("chosenLogProb")

/** The same for the rejected answers. */
export const rejectedLogProb: Paired<"rejectedLogProb", Interval<"rejectedChange">> = paired("rejectedLogProb")

/** Chosen less rejected log-probability, per token of each, mean over pairs, in nats, with a bootstrap interval. */
export const margin: Paired<Interval<"margin">, Interval<"marginChange">> = paired("margin")

type Names<Ms> = { [I in keyof Ms]: Ms[I] extends Metric<infer T, any, unknown> ? T : never }[keyof Ms & number]
type Errors<Ms> = { [I in keyof Ms]: Ms[I] extends Metric<any, any, infer E> ? E : never }[keyof Ms & number]

/** The numbers of two metrics of one name would hide each other. */
const distinct = (metrics: ReadonlyArray<{ readonly name: string }>): void => {
  const names = metrics.map(({ name }) => name)
  const twice = names.find((name, i) => names.indexOf(name) < i)
  if (twice !== undefined) {
    throw new RangeError(`evaluate: two metrics are called ${twice}; ask them in two evaluations`)
  }
}

/** The examples that a model was trained on, those of its start included. */
const trainedOn = (model: AnyStep): ReadonlySet<AnyStep> => {
  const found = new Set<AnyStep>()
  const visit = (step: AnyStep): void => {
    const { data, model, trained } = step.inputs
    if (step.kind === "train" || step.kind === "extend") {
      const examples = data?.inputs["data"]
      if (examples !== undefined) found.add(examples)
    }
    for (const next of [model, trained]) if (next !== undefined) visit(next)
  }
  visit(model)
  return found
}

/** Which questions of a benchmark share 13 words in a row with what the model was trained on; nothing where it was not. */
const contamination = (model: AnyStep, { name, questions = {} }: Metric<any, any, unknown>) => {
  const training = [...trainedOn(model)]
  if (training.length === 0 || Object.keys(questions).length === 0) return []
  const inputs = [
    ...training.map((examples, i) => [`training/${i}`, examples] as const),
    ...Object.entries(questions).map(([subset, rows]) => [`against/${subset}`, rows] as const)
  ]
  const step = make({
    kind: "contamination",
    title: `${name} in training`,
    inputs: Object.fromEntries(inputs),
    parameters: { word: name, words: 13 }
  })
  return [[`contamination/${name}`, step] as const]
}

/**
 * All metrics of one model. Adding a metric reruns none of the others. Of a model that was trained here, questions of
 * benchmarks are looked for in its training data, and tables say how many were found there.
 */
export const evaluate = <M extends string, E, const Ms extends ReadonlyArray<Metric<any, NoInfer<M>, unknown>>>(
  model: Step<Weights<M>, E>,
  metrics: Ms
): Step<Scores<Names<Ms>>, E | Errors<Ms>> => {
  distinct(metrics)
  return make({
    kind: "scores",
    title: `evaluate ${model.title}`,
    inputs: Object.fromEntries([
      ...metrics.map((metric) => [metric.name, metric.on(model as Step<Weights<M>>)] as const),
      ...metrics.flatMap((metric) => contamination(model, metric))
    ])
  })
}

/** The metrics at every snapshot of a run: held-out curves, without the test set being an input of training. */
export const trajectory = <M extends string, E, const Ms extends ReadonlyArray<Metric<any, NoInfer<M>, unknown>>>(
  trained: Step<Trained<M>, E>,
  metrics: Ms
): Step<Curve<Names<Ms>>, E | Errors<Ms>> => {
  distinct(metrics)
  const { recipe } = trained.parameters as { readonly recipe: { readonly snapshots: number } }
  const inputs: Record<string, Step<Weights<M>> | Step<Scores<never>, unknown>> = {}
  for (let index = 0; index < recipe.snapshots; index++) {
    const weights = snapshot(trained, index) as Step<Weights<M>>
    inputs[`${index}`] = weights
    for (const metric of metrics) inputs[`${index}/${metric.name}`] = metric.on(weights)
  }
  return make({ kind: "trajectory", title: `trajectory of ${trained.title}`, inputs })
}
