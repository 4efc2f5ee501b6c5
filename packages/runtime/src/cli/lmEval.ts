// Benchmarks of a run in files that read as lm-eval's: one for each result that asked some, and one of its questions for each
// task, named by when it was made.
import type { AnyStep } from "@penchant/dsl/Step"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Numerics } from "../compute/Engine.ts"
import { shotSeed } from "../evaluation/tasks/documents.ts"
import type { Results } from "../evaluation/tasks/results.ts"
import { stepsOf, type Target } from "../experiment/graph.ts"
import type { Outcome } from "../experiment/history.ts"
import { CurrentHome } from "../experiment/Home.ts"
import type { Pipeline } from "./Pipeline.ts"
import { version } from "./version.ts"

export interface Benchmarks {
  readonly label: string
  readonly results: Results & {
    readonly model_source: string
    readonly model_name: string
    readonly model_name_sanitized: string
    /** Seconds since 1970. */
    readonly date: number
    readonly config: object
  }
  /** Task -> where its questions and answers lie in the store. */
  readonly samples: Readonly<Record<string, string>>
}

/** As lm-eval makes a name part of a path. */
const sanitized = (name: string): string => name.replaceAll(/["<>:/|\\?*[\]]+/g, "__")

export const benchmarksOf = Effect.fnUntraced(
  function*(targets: ReadonlyArray<Target>, outcomeOf: (step: AnyStep) => Outcome | undefined, numerics: Numerics) {
    const { ledger, store } = yield* CurrentHome
    const found: Array<Benchmarks> = []
    for (const { label, step } of targets) {
      const { actionKey, artifact } = outcomeOf(step) ?? {}
      if (artifact === undefined || artifact.kind !== "Scores") continue
      const at = (yield* store.open(artifact.digest)).files["results.json"]
      if (at === undefined) continue
      const results = JSON.parse(fs.readFileSync(at, "utf8")) as Results
      const made = yield* ledger.read((rows) =>
        rows.get<{ readonly finished: number }>("SELECT finished FROM action WHERE actionKey = ?", actionKey ?? "")
      )
      const samples: Record<string, string> = {}
      for (const each of stepsOf([step])) {
        // What judges the answers of a task comes after it, with samples of its own.
        const { parameters } = each.kind === "mathEquivalence" ? each.inputs["asked"]! : each
        const asked = each.kind === "benchmark" || each.kind === "mathEquivalence"
          ? outcomeOf(each)?.artifact
          : undefined
        const file = asked === undefined ? undefined : (yield* store.open(asked.digest)).files["samples.jsonl"]
        if (file !== undefined) samples[(parameters as { readonly task: string }).task] = file
      }
      found.push({
        label,
        samples,
        results: {
          ...results,
          config: {
            model: `penchant ${version}, ${numerics.engine} ${numerics.version}`,
            model_args: { label },
            fewshot_seed: shotSeed
          },
          date: (made?.finished ?? 0) / 1000,
          model_source: "penchant",
          model_name: label,
          model_name_sanitized: sanitized(label)
        }
      })
    }
    return found
  }
)

const replace = (at: string, write: (making: string) => void): void => {
  write(`${at}.making`)
  fs.renameSync(`${at}.making`, at)
}

/** Writes them beside the report; returns the folder, or nothing where there is none. */
export const writeBenchmarks = (
  home: string,
  pipeline: Pipeline,
  benchmarks: ReadonlyArray<Benchmarks>
): string | undefined => {
  if (benchmarks.length === 0) return undefined
  const folder = path.join(home, "reports", path.parse(pipeline.file).name)
  for (const { label, results, samples } of benchmarks) {
    const within = path.join(folder, ...label.split("/"))
    fs.mkdirSync(within, { recursive: true })
    // Python's isoformat, microseconds and all, with colons that file systems take.
    const made = new Date(results.date * 1000).toISOString().replaceAll(":", "-").replace("Z", "000")
    const text = `${JSON.stringify(results, undefined, 2)}\n`
    replace(path.join(within, `results_${made}.json`), (making) => fs.writeFileSync(making, text))
    for (const [task, file] of Object.entries(samples)) {
      replace(path.join(within, `samples_${task}_${made}.jsonl`), (making) => fs.copyFileSync(file, making))
    }
  }
  return folder
}
