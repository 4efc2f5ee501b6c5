// Benchmarks of a run in files that read as lm-eval's: one for each result that asked some.
import type { AnyStep } from "@penchant/dsl/Step"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Numerics } from "../compute/Engine.ts"
import type { Results } from "../evaluation/tasks/results.ts"
import type { Target } from "../experiment/graph.ts"
import type { Outcome } from "../experiment/history.ts"
import { CurrentHome } from "../experiment/Home.ts"
import type { Pipeline } from "./Pipeline.ts"
import { version } from "./version.ts"

export interface Benchmarks {
  readonly label: string
  /** Of the artifact. */
  readonly digest: string
  readonly results: Results & { readonly model_name: string; readonly config: object }
}

export const benchmarksOf = Effect.fnUntraced(
  function*(targets: ReadonlyArray<Target>, outcomeOf: (step: AnyStep) => Outcome | undefined, numerics: Numerics) {
    const { store } = yield* CurrentHome
    const found: Array<Benchmarks> = []
    for (const { label, step } of targets) {
      const artifact = outcomeOf(step)?.artifact
      if (artifact === undefined || artifact.kind !== "Scores") continue
      const at = (yield* store.open(artifact.digest)).files["results.json"]
      if (at === undefined) continue
      const results = JSON.parse(fs.readFileSync(at, "utf8")) as Results
      const config = { model: `penchant ${version}, ${numerics.engine} ${numerics.version}`, model_args: { label } }
      found.push({ label, digest: artifact.digest, results: { ...results, model_name: label, config } })
    }
    return found
  }
)

/** Writes them beside the report; returns the folder, or nothing where there is none. */
export const writeBenchmarks = (
  home: string,
  pipeline: Pipeline,
  benchmarks: ReadonlyArray<Benchmarks>
): string | undefined => {
  if (benchmarks.length === 0) return undefined
  const folder = path.join(home, "reports", path.parse(pipeline.file).name)
  for (const { digest, label, results } of benchmarks) {
    const at = path.join(folder, ...label.split("/"), `results_${digest.slice(0, 12)}.json`)
    fs.mkdirSync(path.dirname(at), { recursive: true })
    fs.writeFileSync(`${at}.making`, `${JSON.stringify(results, undefined, 2)}\n`)
    fs.renameSync(`${at}.making`, at)
  }
  return folder
}
