// A process of its own that runs a pipeline of small steps on a home directory, for tests that kill it, run two at once, or
// deny it the disk. Arguments: home, journal, milliseconds per step. Prints plan keys and results as one JSON line.
import { type Kind } from "@penchant/dsl/Artifact"
import { type Step } from "@penchant/dsl/Step"
import { Experiment } from "@penchant/runtime/experiment/Experiment"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { type Behave, experiment, plain, recorder, step } from "./fakes.ts"

const [home, journal, pause] = [process.argv[2]!, process.argv[3]!, Number(process.argv[4])]

/** Writes down that it began, works for a while, and leaves one file as bytes and one moved from its scratch directory. */
const behave: Behave = (job) =>
  Effect.gen(function*() {
    fs.appendFileSync(journal, `${job.actionKey}\n`)
    yield* Effect.sleep(pause)
    const output = yield* plain(job)
    const weights = path.join(job.scratch, "weights")
    fs.writeFileSync(weights, String((output.meta as { readonly value: number }).value).repeat(4000))
    return { ...output, files: { ...output.files, weights: { path: weights } } }
  })

/** Five layers of four steps, each of which needs two of the layer before. */
const targets = (): ReadonlyArray<{ readonly label: string; readonly step: Step<Kind> }> => {
  let layer: ReadonlyArray<Step<Kind>> = [0, 1, 2, 3].map((n) => step("rows", { n, from: "inline" }, {}, { behave }))
  for (let depth = 1; depth < 5; depth++) {
    layer = layer.map((left, n) =>
      step("tokenise", { depth, n }, { left, right: layer[(n + 1) % layer.length]! }, {
        behave,
        title: `layer ${depth}.${n}`
      })
    )
  }
  return layer.map((step, n) => ({ label: `end ${n}`, step }))
}

const program = Effect.gen(function*() {
  const { plan, run } = yield* Experiment
  const { nodes } = yield* plan(targets())
  process.stdout.write("ready\n")
  const { outcomes, failure } = yield* run(targets())
  const results = outcomes.map(({ actionKey, artifact, label, status }) => ({
    actionKey,
    digest: artifact?.digest,
    label,
    status
  }))
  const keys = Object.fromEntries(nodes.map(({ label, planKey }) => [label, planKey]))
  const problem = outcomes.find(({ status }) => status === "failed")?.problem
  process.stdout.write(`${JSON.stringify({ keys, results, failed: failure !== undefined, problem })}\n`)
})

await Effect.runPromise(
  program.pipe(
    Effect.provide(experiment(home, recorder(), { concurrency: 3 })),
    Effect.catch((error) =>
      Effect.sync(() => void process.stdout.write(`${JSON.stringify({ error: error._tag, problem: error.message })}\n`))
    )
  )
)
