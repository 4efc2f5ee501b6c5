// Every mistake below must not compile, and everything else must: checked by tsc as part of `check`, never run.
// @effect-diagnostics floatingEffect:off missingEffectContext:off missingEffectError:off
import {
  accuracyBy,
  benchmark,
  chosenLogProb,
  compare,
  Dataset,
  decontaminate,
  evaluate,
  Executor,
  extend,
  grid,
  HhRow,
  kind,
  labelNoise,
  margin,
  mix,
  Model,
  normalise,
  type Pairs,
  parts,
  preferenceAccuracy,
  sample,
  score,
  sequenceKl,
  split,
  type Step,
  step,
  study,
  tokenise,
  train,
  trajectory,
  UnpairedRow,
  withPolicy,
  Workspace,
  zip
} from "@penchant/dsl"
import { column, logSigmoid, minus, negate, times } from "@penchant/dsl/Formula"
import { logRatio, objective } from "@penchant/dsl/Objective"
import { dil, dpo, nll, sft, simpo } from "@penchant/objectives"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"

const halves = split(normalise.hh(Dataset.hub("Anthropic/hh-rlhf", { split: "train" })), { test: 0.1 })
const base = Model.hub("EleutherAI/pythia-160m")
const gpt2 = Model.hub("gpt2")
const data = tokenise(halves.train, base, { maxLength: 512 })
const test = tokenise(halves.test, base, { maxLength: 512 })
const start = sft({ model: base, data }, { learningRate: 1e-5 })
const metrics = [preferenceAccuracy(test, { against: start }), chosenLogProb(test)] as const

// 1. inputs of the wrong kind
// @ts-expect-error rows are no pairs
split(Dataset.hub("Anthropic/hh-rlhf", { split: "train" }), { test: 0.1 })
// @ts-expect-error pairs are no rows
normalise.hh(halves.train)
// @ts-expect-error weights where tokens are due
train(dpo(), { model: base, data: base })
// @ts-expect-error tokens where weights are due
train(dpo(), { model: data, data })
// @ts-expect-error pairs that nobody tokenised
train(dpo(), { model: base, data: halves.train })
// @ts-expect-error a study is no step
evaluate(study("s", [{ a: 1 }], () => start), metrics)
// @ts-expect-error scores are no weights
evaluate(evaluate(base, metrics), metrics)
// @ts-expect-error log-probabilities are no tokens
score(base, score(base, data))
// @ts-expect-error a model is no data set
tokenise(base, base, { maxLength: 8 })

// 2. another tokenizer
// @ts-expect-error tokens of another tokenizer
train(dpo(), { model: gpt2, data })
// @ts-expect-error a reference with another tokenizer
train(dpo(), { model: base, data, reference: gpt2 })
// @ts-expect-error metrics on data of another tokenizer
evaluate(gpt2, metrics)
// @ts-expect-error scoring tokens of another tokenizer
score(gpt2, data)
// @ts-expect-error sft on tokens of another tokenizer
sft({ model: gpt2, data })
// @ts-expect-error the start of a comparison has another tokenizer
preferenceAccuracy(test, { against: gpt2 })
// @ts-expect-error a computed id would make every tokenizer equal
Model.hub("gpt2" as string)
// @ts-expect-error a computed path as well
Model.dir("x" as string)
Model.named("mine", "gpt2" as string)
Model.named("mine", { dir: "x" as string })

// 3. misspelt words and values
// @ts-expect-error misspelt input
train(dpo(), { model: base, data, refrence: base })
// @ts-expect-error misspelt recipe
train(dpo(), { model: base, data }, { learningrate: 1 })
// @ts-expect-error a schedule that does not exist
train(dpo(), { model: base, data }, { schedule: "cosin" })
// @ts-expect-error a rate is a number
train(dpo(), { model: base, data }, { learningRate: "1e-5" })
// @ts-expect-error misspelt parameter of an objective
dpo({ Beta: 0.1 })
// @ts-expect-error an aggregation that does not exist
dil.lsif({ ratio: "average" })
// @ts-expect-error a length is required
tokenise(halves.train, base, {})
// @ts-expect-error a truncation that does not exist
tokenise(halves.train, base, { maxLength: 8, truncation: "left" })
// @ts-expect-error a way to split that does not exist
split(normalise.hh(Dataset.hub("Anthropic/hh-rlhf", { split: "train" })), { test: 0.1, by: "user" })
// @ts-expect-error a part that was not asked for
tokenise(parts(halves.train, { sft: 10, test: 5 }).train, base, { maxLength: 8 })
// @ts-expect-error what a policy may hold is fixed, and the learning rate is not in it
withPolicy(start, { learningRate: 1 })

const timed = withPolicy(start, { timeout: 600, retries: 1 })
export const mayTimeOut: "StepTimeout" extends Effect.Error<typeof timed>["_tag"] ? true : false = true
export const cannotTimeOut: "StepTimeout" extends Effect.Error<typeof start>["_tag"] ? true : false = false

// 4. objectives and data
const Row = Schema.Struct({
  prompt: Schema.String,
  chosen: Schema.String,
  rejected: Schema.String,
  margin: Schema.Finite
})
const rows = Dataset.file("mine.jsonl", Row)
const withMargin = tokenise(normalise.plain(rows, { columns: ["margin"] }), base, { maxLength: 512 })
const marginDpo = ({ beta = 0.1 } = {}) =>
  objective(
    "margin-dpo",
    { beta },
    ({ beta }) =>
      negate(logSigmoid(minus(times(beta, minus(logRatio("chosen"), logRatio("rejected"))), column("margin"))))
  )
train(marginDpo(), { model: base, data: withMargin })
train(dpo(), { model: base, data: withMargin }) // more columns than needed is fine
// @ts-expect-error the data carries no margin
train(marginDpo(), { model: base, data })
// @ts-expect-error no such column
normalise.plain(rows, { columns: ["margins"] })
// @ts-expect-error a column that is no number
normalise.plain(rows, { columns: ["prompt"] })
// @ts-expect-error a reference-free objective takes no reference
train(simpo(), { model: base, data, reference: base })
// @ts-expect-error nor does SFT
train(nll(), { model: base, data, reference: base })
// @ts-expect-error rows of a data set whose shape is unknown
normalise.hh(Dataset.hub("openai/gsm8k", { split: "train" }))
// @ts-expect-error rows without a prompt of their own are not plain
normalise.plain(Dataset.file("hh.jsonl", HhRow))
// @ts-expect-error an objective is a value, not its maker
train(dpo, { model: base, data })

// 5. training on top of training
withPolicy(extend(train(dil.lsif(), { model: train(dpo(), { model: start, data }), data }), { epochs: 2 }), {
  retries: 2
})
trajectory(train(dpo(), { model: start, data }, { snapshots: 6 }), metrics)
// @ts-expect-error weights from the hub have no optimiser state
extend(base, { epochs: 2 })
// @ts-expect-error nor snapshots
trajectory(base, metrics)
// @ts-expect-error a retried Effect is not a step
train(dpo(), { model: start.pipe(Effect.retry(Schedule.recurs(2))), data })
// @ts-expect-error a mapped one neither
evaluate(Effect.map(start, (x) => x), metrics)

// 6. studies and comparisons
const betas = [0.05, 0.1, 0.5]
const seed = [0, 1, 2]
const points = [
  ...grid({ objective: [dil.lsif(), simpo()], seed }),
  ...grid({ objective: betas.map((beta) => dpo({ beta })), seed })
]
export const sweep = study(
  "beta",
  points,
  ({ objective, seed }) => evaluate(train(objective, { model: start, data, reference: base }, { seed }), metrics)
)
compare(sweep, { metric: "chosenLogProb", rows: "objective", replicateOver: "seed" })
// @ts-expect-error no such metric
compare(sweep, { metric: "accuracy", rows: "objective" })
// @ts-expect-error a metric that this evaluation did not ask for
compare(sweep, { metric: "margin", rows: "objective" })
// @ts-expect-error a change that needs `against`
compare(sweep, { metric: "chosenChange", rows: "objective" })
// @ts-expect-error no such axis
compare(sweep, { metric: "chosenLogProb", rows: "objectives" })
// @ts-expect-error an axis that the points lack
study("s", grid({ beta: betas }), ({ gamma }) => train(simpo({ gamma }), { model: base, data }))
// @ts-expect-error an axis of the wrong type
study("s", grid({ beta: ["a"] }), ({ beta }) => train(dpo({ beta }), { model: base, data }))
study("s", zip({ beta: betas, seed }), ({ beta, seed }) => train(dpo({ beta }), { model: base, data }, { seed }))

// 7. a program that reads numbers
export const program = Effect.gen(function*() {
  const results = yield* sweep
  const best = results.reduce((a, b) => a.artifact.meta.preferenceAccuracy > b.artifact.meta.preferenceAccuracy ? a : b)
  const again = yield* evaluate(base, [margin(test)])
  return { objective: best.point.objective.name, margin: again.meta.margin }
})
export const missing = Effect.gen(function*() {
  const scores = yield* evaluate(base, [margin(test)])
  // @ts-expect-error a number that was not measured
  return scores.meta.preferenceAccuracy
})
// @ts-expect-error an Executor must be provided
export const unprovided = () => Effect.runPromise(program)
const provided = program.pipe(Effect.provideService(Executor, { run: () => Effect.die("types only") }))
// @ts-expect-error the failures of the graph must be handled
export const unhandled: Effect.Effect<unknown> = provided
type Failures = Effect.Error<typeof program>["_tag"]
export const someFailures: ReadonlyArray<Failures> = ["HubError", "BadRow", "NonFiniteLoss", "EngineLost", "StoreError"]
// @ts-expect-error nothing here fails so
export const noFailure: Failures = "CustomStepError"

// 8. a step of one's own
type Both = Pairs<"side:chosen" | "side:rejected">
export const dedupe = step(import.meta, "dedupe", {
  inputs: { pairs: kind<Both>("Pairs") },
  output: kind<Both>("Pairs"),
  parameters: Schema.Struct({ by: Schema.Literals(["prompt", "chosen"]) }),
  determinism: "bitwise",
  run: ({ inputs, parameters }) =>
    Effect.gen(function*() {
      const workspace = yield* Workspace
      yield* workspace.open(inputs.pairs)
      return { count: inputs.pairs.meta.count - parameters.by.length, dropped: {} }
    })
})
tokenise(dedupe({ pairs: halves.train }, { by: "prompt" }), base, { maxLength: 8 })
// @ts-expect-error misspelt parameter value
dedupe({ pairs: halves.train }, { by: "prompts" })
// @ts-expect-error weights are no pairs
dedupe({ pairs: base }, { by: "prompt" })
// @ts-expect-error a missing input
dedupe({}, { by: "prompt" })
// @ts-expect-error a tag that the kind does not have
kind<Both>("Rows")

// 9. ten thousand points
const n = Array.from({ length: 1000 }, (_, i) => i)
export const big: { readonly points: ReadonlyArray<{ readonly step: Step<any, unknown> }> } = study(
  "big",
  grid({ objective: [dil.lsif(), dpo(), simpo(), ...n.slice(0, 7).map((beta) => dpo({ beta: beta + 1 }))], seed: n }),
  ({ objective, seed }) => evaluate(train(objective, { model: base, data }, { seed }), [preferenceAccuracy(test)])
)

// 9. benchmarks
const gsm8k = Dataset.file("gsm8k.jsonl", benchmark.gsm8k.row)
// @ts-expect-error rows of another task
benchmark.mmluPro(gsm8k)
// @ts-expect-error a subset that does not exist
benchmark.bbh({ snark: Dataset.file("snarks.jsonl", benchmark.bbh.row) })
// @ts-expect-error worked examples are rows of the same task
benchmark.gsm8k(gsm8k, { shotData: Dataset.file("snarks.jsonl", benchmark.bbh.row) })
compare(study("scores", grid({ seed: [0] }), () => evaluate(base, [benchmark.gsm8k(gsm8k)])), {
  metric: "gsm8kFlexible",
  rows: "seed"
})
compare(study("scores", grid({ seed: [0] }), () => evaluate(base, [benchmark.gsm8k(gsm8k)])), {
  // @ts-expect-error a number that the benchmark does not have
  metric: "gsm8kStrict",
  rows: "seed"
})
// rows of one shape, normalised as another
const liked = normalise.unpaired(Dataset.file("liked.jsonl", UnpairedRow))
normalise.ultrafeedback(Dataset.hub("HuggingFaceH4/ultrafeedback_binarized", { split: "train_prefs" }))
normalise.tldr(Dataset.hub("openai/summarize_from_feedback", { split: "train" }))
// @ts-expect-error rows of HH have no scores
normalise.ultrafeedback(Dataset.file("hh.jsonl", HhRow))
// @ts-expect-error transcripts are no turns
normalise.sharegpt(Dataset.file("hh.jsonl", HhRow))
// @ts-expect-error a loss over pairs needs two answers
train(dpo(), { model: base, data: tokenise(liked, base, { maxLength: 512 }) })
// @ts-expect-error a split's name is due
Dataset.folder("hh-rlhf", HhRow, {})

// 10. metrics of pairs
compare(study("scores", grid({ seed: [0] }), () => evaluate(base, [accuracyBy("length")(test)])), {
  metric: "accuracyLength4",
  rows: "seed"
})
compare(study("scores", grid({ seed: [0] }), () => evaluate(base, [accuracyBy("length")(test)])), {
  // @ts-expect-error there are four quartiles
  metric: "accuracyLength5",
  rows: "seed"
})
// @ts-expect-error a reference of another tokenizer
evaluate(base, [sequenceKl(test, { reference: gpt2, maxTokens: 16 })])

// 11. the Hub
const Scored = Schema.Struct({
  prompt: Schema.String,
  chosen: Schema.String,
  rejected: Schema.String,
  margin: Schema.Finite
})
const scored = Dataset.hub("org/mine", { split: "train", row: Scored })
normalise.plain(scored, { columns: ["margin"] })
normalise.plain(Dataset.hub("trl-lib/tldr-preference", { split: "train" }))
// @ts-expect-error no such column
normalise.plain(scored, { columns: ["margins"] })
// @ts-expect-error rows that nobody has described
normalise.plain(Dataset.hub("org/mine", { split: "train" }))
// @ts-expect-error misspelt option
Dataset.hub("org/mine", { split: "train", revison: "v1" })
// @ts-expect-error a split is due
Dataset.hub("org/mine", {})
Dataset.hub("org/mine", { config: "comparisons", split: "train" })
// @ts-expect-error files are chosen by config or by folder
Dataset.hub("org/mine", { config: "comparisons", dir: "data", split: "train" })
// @ts-expect-error misspelt option
Model.hub("org/mine", { revison: "v1" })

// what chooses among pairs keeps what they have, and a mixture has what all its sources have
const feedback = normalise.ultrafeedback(Dataset.hub("HuggingFaceH4/ultrafeedback_binarized", { split: "train_prefs" }))
const gap = objective(
  "gap",
  {},
  () => negate(logSigmoid(minus(logRatio("chosen"), times(column("score_chosen"), logRatio("rejected")))))
)
const clean = decontaminate(feedback, { test: halves.test, gsm8k })
train(gap, { model: base, data: tokenise(labelNoise(sample(clean, 100), { rate: 0.1 }), base, { maxLength: 512 }) })
// @ts-expect-error HH has no scores, so neither has the mixture
train(gap, { model: base, data: tokenise(mix({ uf: [feedback, 1], hh: [halves.train, 1] }), base, { maxLength: 512 }) })
train(dpo(), {
  model: base,
  data: tokenise(mix({ uf: [feedback, 1], hh: [halves.train, 1] }), base, { maxLength: 512 })
})
// @ts-expect-error rows are no pairs
labelNoise(Dataset.file("hh.jsonl", HhRow), { rate: 0.1 })
