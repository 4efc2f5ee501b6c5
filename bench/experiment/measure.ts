// What the experiment graph itself costs, with steps that do nothing: a no-op run of 150 nodes, a plan of 40,000, a commit.
// node bench/experiment/measure.ts
import type { Kind } from "@penchant/dsl/Artifact"
import { type BuiltinKind, make, type Step } from "@penchant/dsl/Step"
import { Engine, type Numerics } from "@penchant/runtime/compute/Engine"
import { Experiment, type ExperimentOptions, layer } from "@penchant/runtime/experiment/Experiment"
import { CurrentHome } from "@penchant/runtime/experiment/Home"
import { Progress } from "@penchant/runtime/platform/Progress"
import type { Implementation } from "@penchant/runtime/steps/Implementation"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

const numerics: Numerics = {
  engine: "none",
  version: "1",
  compute: "float64",
  loss: "host",
  determinism: "bitwise",
  groups: []
}

/** A file of 1 KB and a number. */
const nothing: Implementation = {
  computes: false,
  run: ({ actionKey, step }) =>
    Effect.succeed({
      kind: step.kind,
      meta: { value: 1 },
      files: { "content.txt": Buffer.from(actionKey.repeat(16)) }
    })
}
const kinds: ReadonlyArray<BuiltinKind> = [
  "rows",
  "pairs",
  "split",
  "model",
  "tokenise",
  "score",
  "train",
  "extend",
  "snapshot",
  "metric",
  "scores",
  "trajectory"
]
const implementations = Object.fromEntries(kinds.map((kind) => [kind, nothing])) as ExperimentOptions["implementations"]

interface Labelled {
  readonly label: string
  readonly step: Step<Kind>
}

/** A formula's worth of parameters, about 800 bytes, as `train` has. */
const objective = (beta: number) => ({
  per: "pair",
  parameters: { beta },
  loss: Array.from(
    { length: 12 },
    (_, i) => ({ _tag: "Times", left: { _tag: "Parameter", name: "beta" }, right: { _tag: "Constant", value: i } })
  )
})

/** Per point one training, its score on the test data, and two metrics joined: `points * 4` nodes and five shared ones. */
const study = (points: number): ReadonlyArray<Labelled> => {
  const rows = make<Kind, never>({ kind: "rows", title: "read" })
  const model = make<Kind, never>({ kind: "model", title: "load" })
  const train = make<Kind, never>({
    kind: "tokenise",
    title: "tokenise train",
    inputs: { rows, model },
    parameters: { part: "train" }
  })
  const test = make<Kind, never>({
    kind: "tokenise",
    title: "tokenise test",
    inputs: { rows, model },
    parameters: { part: "test" }
  })
  const reference = make<Kind, never>({ kind: "score", title: "reference", inputs: { model, data: train } })
  return Array.from({ length: points }, (_, i) => {
    const trained = make<Kind, never>({
      kind: "train",
      title: "train dpo",
      inputs: { model, data: train, reference },
      parameters: {
        objective: objective(1 + i % 100),
        recipe: { epochs: 1, learningRate: 0.001, batchSize: 16, seed: i }
      }
    })
    const scores = make<Kind, never>({ kind: "score", title: "score dpo", inputs: { model: trained, data: test } })
    const metric = make<Kind, never>({
      kind: "metric",
      title: "accuracy",
      inputs: { scores, data: test },
      parameters: { name: "accuracy" }
    })
    return {
      label: `study/seed=${i}`,
      step: make<Kind, never>({ kind: "scores", title: "evaluate", inputs: { metric } })
    }
  })
}

const home = fs.mkdtempSync(path.join(os.tmpdir(), "penchant-measure-"))
const process_ = layer({
  implementations,
  engine: Layer.succeed(Engine, Engine.of({ numerics, open: () => Effect.die("no model here") })),
  numerics
}).pipe(Layer.provideMerge(CurrentHome.layer(home)), Layer.provideMerge(Progress.silent))

const measured = async (
  what: string,
  targets: ReadonlyArray<Labelled>,
  f: (experiment: Experiment["Service"]) => Effect.Effect<ReadonlyArray<unknown>, unknown>
) => {
  const before = performance.now()
  const nodes = await Effect.runPromise(Experiment.use(f).pipe(Effect.provide(process_)))
  const ms = performance.now() - before
  console.log(`${what}: ${ms.toFixed(0)} ms, ${nodes.length} nodes, ${(ms / nodes.length).toFixed(3)} ms each`)
  void targets
}

const run = (targets: ReadonlyArray<Labelled>) => (experiment: Experiment["Service"]) =>
  Effect.map(experiment.run(targets), ({ outcomes }) => outcomes)
const plan = (targets: ReadonlyArray<Labelled>) => (experiment: Experiment["Service"]) =>
  Effect.map(experiment.plan(targets), ({ nodes }) => nodes)

const small = study(37)
await measured("plan, nothing there", small, plan(small))
await measured("run, nothing there", small, run(small))
for (let i = 0; i < 3; i++) {
  await measured("run, all hits (opening and closing the ledger included)", study(37), run(study(37)))
}
await measured("plan, all hits", small, plan(study(37)))
for (const points of [2500, 10_000]) {
  const large = study(points)
  await measured("plan, nothing there", large, plan(large))
  await measured("again, other objects", large, plan(study(points)))
}
fs.rmSync(home, { recursive: true })
