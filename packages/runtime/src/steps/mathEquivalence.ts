// MATH judged by Python, where there is one that can: lm-eval's `exact_match` (math-verify), and sympy's part of
// `exact_match_original`. Without it the answers pass as they are, and `exact_match_original` is a lower bound.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { mathVerdicts } from "../evaluation/tasks/mathEquivalence.ts"
import { answerOf, boxed, normalised } from "../evaluation/tasks/mathHard.ts"
import { type MathPython, mathPython } from "../evaluation/tasks/mathPython.ts"
import type { Results } from "../evaluation/tasks/results.ts"
import { summary } from "../evaluation/tasks/run.ts"
import { Progress } from "../platform/Progress.ts"
import { named } from "./benchmark.ts"
import { inputOf, json, lines, metaOf, parametersOf, readInput } from "./files.ts"
import type { Implementation, Input, Job } from "./Implementation.ts"
import { Numbers } from "./scores.ts"

const Parameters = Schema.Struct({ numbers: Schema.Record(Schema.String, Schema.String) })
const Sample = Schema.Struct({
  doc: Schema.Struct({ problem: Schema.String, solution: Schema.String, level: Schema.String }),
  resps: Schema.Tuple([Schema.Tuple([Schema.String])]),
  exact_match_original: Schema.Finite,
  exact_match_numeric: Schema.Finite
})

const textOf = (input: Input, file: string) =>
  Effect.map(readInput(input, file), (bytes) => new TextDecoder().decode(bytes))

/** By question, as far as Python can tell; nothing where it fails, which is told. */
const verdictsOf = Effect.fnUntraced(
  function*(job: Job, python: MathPython | undefined, samples: ReadonlyArray<typeof Sample.Type>) {
    if (python === undefined) return undefined
    const progress = yield* Progress
    return yield* mathVerdicts(
      python,
      samples.map(({ doc: { solution }, resps: [[response]] }) => ({
        response,
        solution,
        answer: answerOf(response),
        gold: normalised(boxed(solution) ?? "")
      }))
    ).pipe(
      Effect.catchTag(
        "MathPythonFailed",
        ({ message }) =>
          Effect.as(
            progress.emit({ _tag: "Warning", label: job.label, message: `${message}; its metrics are left out` }),
            undefined
          )
      )
    )
  }
)

export const mathEquivalence: Implementation = {
  computes: false,
  run: Effect.fn("mathEquivalence")(function*(job) {
    const { numbers: names } = parametersOf(job, Parameters)
    const asked = inputOf(job, "asked")
    const word = Object.keys(names)[0]!
    const python = mathPython()
    const text = yield* textOf(asked, "samples.jsonl")
    const rows = text.split("\n").filter((line) => line !== "").map((line) =>
      JSON.parse(line) as Record<string, unknown>
    )
    const verdicts = yield* verdictsOf(job, python, rows.map((row) => Schema.decodeUnknownSync(Sample)(row)))
    const before: Record<string, number> = { ...metaOf(asked, Numbers) }
    if (verdicts === undefined || python === undefined) {
      return {
        kind: "Scores",
        meta: { ...before, [`${word}TextAlone`]: 1 },
        files: {
          "results.json": yield* readInput(asked, "results.json"),
          "samples.jsonl": yield* readInput(asked, "samples.jsonl")
        }
      }
    }
    const judged = rows.map((row, i) => {
      const { exact, original } = verdicts[i]!
      const exact_match_original = Math.max(row["exact_match_original"] as number, Number(original ?? false))
      const metrics = {
        ...(exact === undefined ? {} : { exact_match: Number(exact) }),
        exact_match_original,
        exact_match_numeric: row["exact_match_numeric"] as number
      }
      return { sample: Object.assign({}, row, metrics, { metrics: Object.keys(metrics) }), metrics }
    })
    const numbers = summary(
      judged.map(({ metrics }) =>
        Object.fromEntries(Object.entries(metrics).map(([metric, value]) => [`${metric},none`, value]))
      )
    )
    const results = JSON.parse(yield* textOf(asked, "results.json")) as Results
    const [[task, row]] = Object.entries(results.results) as [[string, object]]
    const configs = { [task]: { ...results.configs[task], math_equivalence: python.versions } }
    const higher_is_better = { [task]: Object.fromEntries(Object.keys(judged[0]!.metrics).map((name) => [name, true])) }
    return {
      kind: "Scores",
      meta: { ...before, ...named(names, numbers), [`${word}TextAlone`]: python.original ? 0 : 1 },
      files: {
        "results.json": json({ ...results, results: { [task]: { ...row, ...numbers } }, configs, higher_is_better }),
        "samples.jsonl": lines(judged.map(({ sample }) => sample))
      }
    }
  })
}
