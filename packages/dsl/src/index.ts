// The language. Pieces of formulas are imported from `@penchant/dsl/Formula`, so that `sum` and `log` stay out of the way.
export type { Artifact, Curve, Kind, LogProbs, Pairs, Rows, Scores, Tokens, Trained, Weights } from "./Artifact.ts"
export { benchmark, type BenchmarkOptions } from "./Benchmark.ts"
export { decontaminate, dedupe } from "./Clean.ts"
export { type CustomStep, kind, step, type Witness, Workspace } from "./Custom.ts"
export { Dataset, HhRow, type KnownDatasets, PlainRow } from "./Dataset.ts"
export * from "./Errors.ts"
export {
  chosenLogProb,
  evaluate,
  margin,
  type Metric,
  type MetricName,
  preferenceAccuracy,
  rejectedLogProb,
  trajectory
} from "./Evaluation.ts"
export { mix } from "./Mix.ts"
export { Model } from "./Model.ts"
export { labelNoise } from "./Noise.ts"
export { normalise } from "./Normalise.ts"
export { type Objective, objective } from "./Objective.ts"
export { Example, Pair, Unpaired } from "./Pair.ts"
export { accuracyBy, calibration, generate, type GenerateOptions, lengthBias, sequenceKl } from "./PreferenceMetrics.ts"
export { Recipe, type RecipeOptions } from "./Recipe.ts"
export { ChatMessage, ShareGptRow, TldrRow, UltraFeedbackRow, UnpairedRow } from "./Row.ts"
export { parts, sample, split } from "./Split.ts"
export { type AnyStep, Executor, type Policy, type Step, withPolicy } from "./Step.ts"
export { compare, type Comparison, grid, type Study, study, zip } from "./Study.ts"
export { tokenise, type TokeniseOptions } from "./Tokenise.ts"
export { extend, score, snapshot, train } from "./Train.ts"
export { type EndpointOptions, type Judge, judge, winRate, type WinRateOptions } from "./WinRate.ts"
