// What a report says, as one plain value: everything on the page and in the terminal table is computed from it.
// Leaves out where the numbers come from (ledger, store) and how they look.
import * as Schema from "effect/Schema"
import { StepMetrics } from "../training/StepMetrics.ts"

/** Reason -> row ids. */
const Dropped = Schema.Record(Schema.String, Schema.Array(Schema.String))

/** A part of a split, after tokenising. */
const Part = Schema.Struct({
  name: Schema.String,
  pairs: Schema.Int,
  tokens: Schema.optionalKey(Schema.Int),
  /** What was cut, in the words of the truncation rule -> number of pairs. */
  truncated: Schema.optionalKey(Schema.Record(Schema.String, Schema.Int)),
  dropped: Schema.optionalKey(Dropped)
})

const DataRead = Schema.Struct({
  source: Schema.String,
  licence: Schema.optionalKey(Schema.String),
  /** Rows in the file. */
  read: Schema.Int,
  dropped: Dropped,
  parts: Schema.Array(Part),
  /** Sentences: how rows were split, cut and tokenised. */
  notes: Schema.Array(Schema.String)
})
export type DataRead = typeof DataRead.Type

/** One point of a curve read off a formula: |d loss / d log-probability| summed over each answer. */
const Pull = Schema.Struct({
  /** Per token, of both answers, in nats. */
  logRatio: Schema.Finite,
  chosen: Schema.Finite,
  rejected: Schema.Finite
})
export type Pull = typeof Pull.Type

const ObjectiveData = Schema.Struct({
  /** With what differs from its defaults: `dpo(ratio=mean)`. Colours go by it. */
  name: Schema.String,
  formula: Schema.Struct({
    text: Schema.String,
    /** Inside of a `<math>`: elements without attributes only, else the text is shown. */
    mathml: Schema.optionalKey(Schema.String)
  }),
  parameters: Schema.Record(Schema.String, Schema.Finite)
})
export type ObjectiveData = typeof ObjectiveData.Type

const Scores = Schema.Record(Schema.String, Schema.Finite)

/** `steps` and one column per metric, all of one length: held-out numbers at the snapshots, the start not among them. */
const Curve = Schema.StructWithRest(Schema.Struct({ steps: Schema.Array(Schema.Int) }), [
  Schema.Record(Schema.String, Schema.Array(Schema.Finite))
])

const Value = Schema.Union([Schema.String, Schema.Finite, Schema.Boolean])

export const Run = Schema.Struct({
  label: Schema.String,
  objective: ObjectiveData,
  /** Values of a study's other axes: learningRate, seed, ... */
  point: Schema.optionalKey(Schema.Record(Schema.String, Value)),
  recipe: Schema.optionalKey(Schema.Record(Schema.String, Value)),
  /** Empty where nothing was trained. */
  metrics: Schema.Array(StepMetrics),
  curve: Schema.optionalKey(Curve),
  scores: Schema.optionalKey(Scores),
  gradientShare: Schema.optionalKey(Schema.Array(Pull))
})
export type Run = typeof Run.Type

const Estimate = Schema.Struct({ mean: Schema.Finite, low: Schema.Finite, high: Schema.Finite })

const ComparisonData = Schema.Struct({
  title: Schema.optionalKey(Schema.String),
  metric: Schema.String,
  rows: Schema.Array(Schema.Struct({
    label: Schema.String,
    /** Replicates. */
    n: Schema.Int,
    ...Estimate.fields,
    /** Paired, against the first row. */
    difference: Schema.optionalKey(Estimate)
  })),
  /** Components besides the named axis that differ between rows. */
  differsIn: Schema.Array(Schema.String),
  notes: Schema.Array(Schema.String)
})
export type ComparisonData = typeof ComparisonData.Type

/** See training/speed.ts. */
const Speed = Schema.Struct({
  tokensPerSecond: Schema.Finite,
  fedPerSecond: Schema.Finite,
  mfu: Schema.optionalKey(Schema.Finite),
  peakBytes: Schema.Finite
})

const StepDone = Schema.Struct({
  label: Schema.String,
  kind: Schema.String,
  verdict: Schema.String,
  seconds: Schema.Finite,
  digest: Schema.String,
  speed: Schema.optionalKey(Speed)
})

export const ReportData = Schema.Struct({
  title: Schema.String,
  /** Makes these numbers again. */
  command: Schema.String,
  date: Schema.optionalKey(Schema.String),
  model: Schema.Struct({ name: Schema.String, parameters: Schema.Int }),
  data: Schema.Array(DataRead),
  /** What every run is read against. */
  start: Schema.optionalKey(Schema.Struct({ label: Schema.String, scores: Scores })),
  /** Scored models that no run here has trained, nor starts from. */
  models: Schema.optionalKey(Schema.Array(Schema.Struct({ label: Schema.String, scores: Scores }))),
  runs: Schema.Array(Run),
  /** The axis of replicates: its values are collapsed to a mean and a range. Default `seed`. */
  replicateOver: Schema.optionalKey(Schema.String),
  /** Held-out pairs behind the scores. */
  heldOut: Schema.optionalKey(Schema.Int),
  comparisons: Schema.optionalKey(Schema.Array(ComparisonData)),
  steps: Schema.Array(StepDone),
  environment: Schema.Struct({ engine: Schema.String, node: Schema.String, cpu: Schema.String })
})
export type ReportData = typeof ReportData.Type
