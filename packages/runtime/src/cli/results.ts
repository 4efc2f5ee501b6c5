// What a run left, for people and programs: the JSON document of `--json`, the report beside it, the table at the end.
import type { Kind } from "@penchant/dsl/Artifact"
import { digest } from "@penchant/dsl/Identity"
import type { AnyStep } from "@penchant/dsl/Step"
import type { Study } from "@penchant/dsl/Study"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { Numerics } from "../compute/Engine.ts"
import { speedsOf } from "../experiment/actions.ts"
import { stepsOf, type Target } from "../experiment/graph.ts"
import type { Outcome } from "../experiment/history.ts"
import { CurrentHome } from "../experiment/Home.ts"
import { sentence } from "../experiment/Why.ts"
import { collect, type Found } from "../report/collect.ts"
import type { ReportData } from "../report/ReportData.ts"
import type { Speed } from "../training/speed.ts"
import type { Benchmarks } from "./lmEval.ts"
import type { Pipeline } from "./Pipeline.ts"

const numbersOf = (meta: object): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(meta).filter((entry): entry is [string, number] => typeof entry[1] === "number"))

/** What was measured while these results were made, in whichever run that was, by action key. */
export const speedsFor = Effect.fnUntraced(function*(outcomes: ReadonlyArray<Outcome>) {
  const { ledger } = yield* CurrentHome
  return yield* ledger.read((rows) => speedsOf(rows, outcomes.flatMap(({ actionKey }) => actionKey ?? [])))
})

/** The document of `run --json`. */
export const document = (
  studies: ReadonlyArray<Study<object, Kind, unknown>>,
  targets: ReadonlyArray<Target>,
  outcomes: ReadonlyArray<Outcome>,
  outcomeOf: (step: AnyStep) => Outcome | undefined,
  speeds: ReadonlyMap<string, Speed>,
  benchmarks: ReadonlyArray<Benchmarks>
): object => ({
  ...(studies.length === 1 ? { study: studies[0]!.name } : {}),
  steps: outcomes.map(({ actionKey, artifact, kind, label, planKey, problem, seconds, status, why }) => ({
    label,
    kind,
    planKey,
    actionKey: actionKey ?? null,
    verdict: status,
    why: problem === undefined ? why.map(sentence) : [problem],
    seconds,
    outputs: artifact === undefined ? [] : [artifact.digest],
    ...(speeds.has(actionKey ?? "") ? { speed: speeds.get(actionKey!) } : {})
  })),
  results: targets.flatMap(({ label, step }) => {
    const artifact = outcomeOf(step)?.artifact
    const lmEval = benchmarks.find((each) => each.label === label)?.results
    return artifact === undefined
      ? []
      : [{ label, metrics: numbersOf(artifact.meta), ...(lmEval === undefined ? {} : { lmEval }) }]
  })
})

/** Reads the files of every artifact that a report shows; those of weights and tokens stay where they are. */
const foundBy = Effect.fnUntraced(
  function*(outcomeOf: (step: AnyStep) => Outcome | undefined, steps: Iterable<AnyStep>) {
    const { store } = yield* CurrentHome
    const found = new Map<string, Found>()
    for (const step of steps) {
      const artifact = outcomeOf(step)?.artifact
      if (artifact === undefined || found.has(artifact.digest)) continue
      const { files } = yield* store.open(artifact.digest)
      found.set(artifact.digest, {
        digest: artifact.digest,
        meta: artifact.meta,
        text: (name) => (files[name] === undefined ? undefined : fs.readFileSync(files[name], "utf8"))
      })
    }
    return (step: AnyStep): Found | undefined => {
      const at = outcomeOf(step)?.artifact?.digest
      return at === undefined ? undefined : found.get(at)
    }
  }
)

export interface ResultsOptions {
  readonly pipeline: Pipeline
  readonly targets: ReadonlyArray<Target>
  readonly outcomes: ReadonlyArray<Outcome>
  readonly outcomeOf: (step: AnyStep) => Outcome | undefined
  readonly numerics: Numerics
  readonly command: string
}

/** The file's name as a title: `learning-rates` -> `Learning rates`. */
const titleOf = (file: string): string => {
  const name = path.parse(file).name.replaceAll(/[-_]/g, " ")
  return name.charAt(0).toUpperCase() + name.slice(1)
}

export const reportData = Effect.fnUntraced(
  function*({ command, numerics, outcomeOf, outcomes, pipeline, targets }: ResultsOptions) {
    const found = yield* foundBy(outcomeOf, stepsOf(targets.map(({ step }) => step)))
    const wanted = new Set(targets.map(({ label }) => label))
    const studies = pipeline.studies.map((study) => ({
      ...study,
      points: study.points.filter(({ label }) => wanted.has(`${study.name}/${label}`))
    }))
    const speeds = yield* speedsFor(outcomes)
    const data: ReportData = collect({
      title: titleOf(pipeline.file),
      command,
      targets,
      studies,
      comparisons: pipeline.comparisons,
      found,
      steps: outcomes.map(({ actionKey, artifact, kind, label, seconds, status }) => ({
        label,
        kind,
        verdict: status,
        seconds,
        digest: artifact?.digest ?? "",
        ...(speeds.has(actionKey ?? "") ? { speed: speeds.get(actionKey!)! } : {})
      })),
      environment: {
        engine: `${numerics.engine} ${numerics.version}, ${numerics.compute}`,
        node: process.version,
        cpu: `${os.availableParallelism()} threads of ${os.cpus()[0]?.model.trim() ?? "an unknown CPU"}`
      }
    })
    return data
  }
)

/** Where the report of a pipeline lies, and a digest of what is in it: an unchanged report is not drawn again. */
export const reportPlace = (home: string, pipeline: Pipeline, outcomes: ReadonlyArray<Outcome>, code: string) => {
  const name = path.parse(pipeline.file).name
  const directory = path.join(home, "reports")
  return {
    html: path.join(directory, `${name}.html`),
    stamp: path.join(directory, `.${name}.digest`),
    key: digest({ code, results: outcomes.map(({ artifact, label }) => [label, artifact?.digest ?? null]) })
  }
}
