// A pipeline's results as one report: reads what the steps left, computes nothing that they did not.
import type { Kind } from "@penchant/dsl/Artifact"
import { isObjective, labelOf, type Objective } from "@penchant/dsl/Objective"
import type { AnyStep } from "@penchant/dsl/Step"
import type { Comparison, Study } from "@penchant/dsl/Study"
import * as Schema from "effect/Schema"
import { stepsOf } from "../experiment/graph.ts"
import { StepMetrics } from "../training/StepMetrics.ts"
import { comparisonData } from "./comparison.ts"
import { settingsIn } from "./format.ts"
import { gradientShare, objectiveData } from "./objective.ts"
import type { DataRead, ReportData, Run } from "./ReportData.ts"

/** A finished step as the store has it. */
export interface Found {
  readonly digest: string
  readonly meta: unknown
  /** The text of one of its files; undefined when it has none of that name. */
  readonly text: (file: string) => string | undefined
}

export interface Sources {
  readonly title: string
  readonly command: string
  readonly targets: ReadonlyArray<{ readonly label: string; readonly step: AnyStep }>
  readonly studies: ReadonlyArray<Study<object, Kind, unknown>>
  readonly comparisons: ReadonlyArray<Comparison>
  readonly found: (step: AnyStep) => Found | undefined
  readonly steps: ReportData["steps"]
  readonly environment: ReportData["environment"]
}

const numbersOf = (found: Found | undefined): Readonly<Record<string, number>> | undefined =>
  found === undefined ? undefined : Schema.decodeUnknownSync(Schema.Record(Schema.String, Schema.Finite))(found.meta)

const isTraining = (step: AnyStep): boolean => step.kind === "train" || step.kind === "extend"

/** The weights that a result is about: of scores those that were scored, of a curve the run whose snapshots were. */
const subject = (step: AnyStep): AnyStep | undefined => {
  if (isTraining(step) || step.kind === "model" || step.kind === "snapshot") return step
  const next = step.kind === "scores" || step.kind === "benchmarkGroup" ?
    Object.values(step.inputs)[0]
    : step.kind === "judgedByEndpoint" || step.kind === "judgedByModel" ?
    step.inputs["answers"]?.inputs["model"]
    : step.kind === "mathEquivalence" ?
    step.inputs["asked"]
    : step.kind === "benchmark" ?
    step.inputs["model"]
    : step.kind === "trajectory" ?
    step.inputs["0"]?.inputs["trained"]
    : step.kind === "metric" || step.kind === "divergence" ?
    step.inputs["scores"]?.inputs["model"]
    : undefined
  return next === undefined ? undefined : subject(next)
}

/** The same training built twice is one run: both have one digest. */
const sameRun = (found: Sources["found"], a: AnyStep, b: AnyStep): boolean =>
  a === b || (found(a) !== undefined && found(a)?.digest === found(b)?.digest)

const lines = <A>(text: string | undefined, schema: Schema.Codec<A, any>): ReadonlyArray<A> =>
  (text ?? "").split("\n").filter((line) => line !== "").map((line) =>
    Schema.decodeUnknownSync(schema)(JSON.parse(line))
  )

const Counts = Schema.Record(Schema.String, Schema.Array(Schema.String))
const PairsMeta = Schema.Struct({ count: Schema.Int, dropped: Counts })
const CountMeta = Schema.Struct({ count: Schema.Int })
const TokensMeta = Schema.Struct({ count: Schema.Int, tokens: Schema.Int })
const TokensReport = Schema.fromJsonString(
  Schema.Struct({
    dropped: Counts,
    cut: Schema.Struct({ prompt: Schema.Int, chosen: Schema.Int, rejected: Schema.Int })
  })
)

/** One entry per data set that was read: what was dropped, how it was split, what tokenising did to the parts. */
const dataRead = (steps: ReadonlyArray<AnyStep>, found: Sources["found"]): ReadonlyArray<DataRead> => {
  const tokenised = steps.filter(({ kind }) => kind === "tokenise")
  return steps.filter(({ kind }) => kind === "pairs").flatMap((pairs) => {
    const rows = pairs.inputs["rows"]
    const here = found(pairs)
    const read = rows === undefined ? undefined : found(rows)
    if (rows === undefined || here === undefined || read === undefined) return []
    const mine = tokenised.filter(({ inputs }) => stepsOf([inputs["data"]!]).includes(pairs))
    const parts = new Map<string, DataRead["parts"][number]>()
    const notes = new Set<string>()
    for (const step of mine) {
      const at = found(step)
      if (at === undefined) continue
      const { count, tokens } = Schema.decodeUnknownSync(TokensMeta)(at.meta)
      const { cut, dropped } = Schema.decodeUnknownSync(TokensReport)(at.text("report.json"))
      const name = step.inputs["data"]!.kind === "split" ? step.inputs["data"]!.title.replace(/^split /, "") : "all"
      const truncated = {
        "prompts cut on the left": cut.prompt,
        "chosen answers cut": cut.chosen,
        "rejected answers cut": cut.rejected
      }
      parts.set(name, { name, pairs: count, tokens, truncated, dropped })
      const { maxLength, truncation } = step.parameters as { readonly maxLength: number; readonly truncation: string }
      notes.add(`At most ${maxLength} tokens of prompt and answer; what is longer: ${truncation}.`)
      const { by } = (step.inputs["data"]!.parameters ?? {}) as { readonly by?: string }
      if (by === "firstTurn") notes.add("Split by the first human turn, so that no conversation is on two sides.")
    }
    return [{
      source: rows.sources["file"] ?? rows.title,
      read: Schema.decodeUnknownSync(CountMeta)(read.meta).count,
      dropped: Schema.decodeUnknownSync(PairsMeta)(here.meta).dropped,
      parts: [...parts.values()],
      notes: [...notes]
    }]
  })
}

const objectiveOf = (training: AnyStep): Objective | undefined => {
  const { objective } = (training.attached ?? {}) as { readonly objective?: unknown }
  return isObjective(objective) ? objective : undefined
}

const pointOf = (point: object): Record<string, string | number | boolean> =>
  settingsIn(
    Object.fromEntries(
      Object.entries(point).map(([axis, value]) => [axis, isObjective(value) ? labelOf(value) : value])
    )
  )

/** Everything that the targets have left in the store. Points that have not run are left out. */
export const collect = (sources: Sources): ReportData => {
  const { found, studies, targets } = sources
  const points = studies.flatMap(({ name, points }) =>
    points.map(({ label, point, step }) => ({ label: `${name}/${label}`, point, step }))
  )
  const inStudies = new Set<AnyStep>(points.map(({ step }) => step))
  const singles = targets.filter(({ step }) => !inStudies.has(step))

  const runs: Array<{ readonly training: AnyStep; run: Run }> = []
  const runOf = (training: AnyStep, label: string, point: object): { run: Run } | undefined => {
    const known = runs.find((entry) => sameRun(found, entry.training, training))
    if (known !== undefined) return known
    const objective = objectiveOf(training)
    const at = found(training)
    if (objective === undefined || at === undefined) return undefined
    const { recipe } = training.parameters as { readonly recipe: object }
    const share = gradientShare(objective)
    const entry = {
      training,
      run: {
        label,
        objective: objectiveData(objective),
        point: pointOf(point),
        recipe: settingsIn(recipe),
        metrics: lines(at.text("metrics.jsonl"), StepMetrics),
        ...(share === undefined ? {} : { gradientShare: share })
      } satisfies Run
    }
    runs.push(entry)
    return entry
  }
  for (const { label, point, step } of points) {
    const training = subject(step)
    const at = found(step)
    if (training === undefined || at === undefined || !isTraining(training)) continue
    const entry = runOf(training, label, point)
    if (entry === undefined) continue
    if (step.kind === "scores") entry.run = { ...entry.run, label, scores: numbersOf(at)! }
    else if (step.kind === "trajectory") entry.run = { ...entry.run, curve: at.meta as NonNullable<Run["curve"]> }
  }

  const models: Array<NonNullable<ReportData["models"]>[number]> = []
  for (const { label, step } of points) {
    const at = found(step)
    if (at !== undefined && step.kind === "scores" && !isTraining(subject(step) ?? step)) {
      models.push({ label, scores: numbersOf(at)! })
    }
  }

  const starts = new Set(runs.map(({ training }) => training.inputs["model"]))
  let start: ReportData["start"]
  for (const { label, step } of singles) {
    const weights = subject(step)
    const at = found(step)
    if (weights === undefined || at === undefined) continue
    const isStart = [...starts].some((other) => other !== undefined && sameRun(found, other, weights))
    if (step.kind === "scores" && isStart && start === undefined) start = { label, scores: numbersOf(at)! }
    else if (!isTraining(weights)) {
      if (step.kind === "scores") models.push({ label, scores: numbersOf(at)! })
    } else {
      const entry = runOf(weights, label, {})
      if (entry !== undefined && step.kind === "scores") entry.run = { ...entry.run, scores: numbersOf(at)! }
      if (entry !== undefined && step.kind === "trajectory") {
        entry.run = { ...entry.run, curve: at.meta as NonNullable<Run["curve"]> }
      }
    }
  }

  const reached = stepsOf(targets.map(({ step }) => step))
  const base = reached.find(({ kind }) => kind === "model")
  const size = base === undefined ? undefined : (found(base)?.meta as { readonly parameters?: number } | undefined)
  const judged = reached.find(({ kind }) => kind === "metric")?.inputs["data"]
  const heldOut = judged === undefined
    ? undefined
    : (found(judged)?.meta as { readonly count?: number } | undefined)?.count
  const replicateOver = sources.comparisons.find((comparison) => comparison.replicateOver !== undefined)?.replicateOver
  return {
    title: sources.title,
    command: sources.command,
    model: { name: base?.title.replace(/^(load|fetch) /, "") ?? "no model", parameters: size?.parameters ?? 0 },
    data: dataRead(reached, found),
    ...(start === undefined ? {} : { start }),
    ...(models.length === 0 ? {} : { models }),
    runs: runs.map(({ run }) => run),
    ...(replicateOver === undefined ? {} : { replicateOver }),
    ...(heldOut === undefined ? {} : { heldOut }),
    comparisons: sources.comparisons.map((comparison) => comparisonData(comparison, (step) => numbersOf(found(step)))),
    steps: sources.steps,
    environment: sources.environment
  }
}
