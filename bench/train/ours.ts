// One measured run of penchant: `ours.ts ENGINE MODEL_DIR PAIRS.json STEPS BATCH`. The same pairs, recipe and precision as peer.py.
// Prints one JSON line: pairs per second after the first step, losses, peak resident memory, seconds of scoring the reference.
import { recipe } from "@penchant/dsl/Recipe"
import { dpo } from "@penchant/objectives"
import type { TokenGroups } from "@penchant/runtime/compute/Batch"
import { Engine } from "@penchant/runtime/compute/Engine"
import { type EngineName, layer } from "@penchant/runtime/compute/Engines"
import { scoreAll } from "@penchant/runtime/evaluation/score"
import { loadModel } from "@penchant/runtime/model/load"
import { type Event, Progress } from "@penchant/runtime/platform/Progress"
import { train } from "@penchant/runtime/training/train"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

const [engine = "", modelFolder = "", pairsFile = "", stepsText = "", batchText = ""] = process.argv.slice(2)
const [steps, batchSize] = [Number(stepsText), Number(batchText)]

interface Pair {
  readonly prompt_ids: ReadonlyArray<number>
  readonly chosen_ids: ReadonlyArray<number>
  readonly rejected_ids: ReadonlyArray<number>
}
const pairs = (JSON.parse(fs.readFileSync(pairsFile, "utf8")) as ReadonlyArray<Pair>).slice(0, steps * batchSize)
const whole = pairs.map((pair) => [...pair.prompt_ids, ...pair.chosen_ids, ...pair.rejected_ids])
const offsets = new Int32Array(pairs.length + 1)
for (const [i, ids] of whole.entries()) offsets[i + 1] = offsets[i]! + ids.length
const data: TokenGroups = {
  tokens: Int32Array.from(whole.flat()),
  offsets,
  promptLength: Int32Array.from(pairs, (pair) => pair.prompt_ids.length),
  branchLength: Int32Array.from(pairs.flatMap((pair) => [pair.chosen_ids.length, pair.rejected_ids.length])),
  sides: ["chosen", "rejected"],
  ids: pairs.map((_, i) => String(i)),
  columns: {}
}

const marks: Array<{ readonly at: number; readonly done: number }> = []
const listener = Progress.of({
  emit: (event: Event) =>
    Effect.sync(() => {
      if (event._tag === "StepProgress" && event.label === "bench") {
        marks.push({ at: performance.now(), done: event.done })
      }
    })
})

const program = Effect.gen(function*() {
  const model = yield* loadModel(modelFolder)
  const before = performance.now()
  const { numerics, open } = yield* Engine
  const reference = yield* Effect.scoped(Effect.flatMap(open(model), (session) => scoreAll(session, numerics, data)))
  const referenceSeconds = (performance.now() - before) / 1000
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "penchant-bench-"))
  const { cursor } = yield* train({
    label: "bench",
    model,
    data,
    reference,
    referenceIsStart: true,
    objective: dpo({ beta: 0.1 }),
    recipe: recipe({ learningRate: 1e-5, schedule: "constant", warmupRatio: 0, batchSize, order: "given" }),
    policy: { checkpointEvery: steps + 1, checkpointSeconds: 3600 },
    scratch,
    identity: {}
  })
  fs.rmSync(scratch, { recursive: true, force: true })
  const [first, last] = [marks[0]!, marks.at(-1)!]
  console.log(JSON.stringify({
    variant: engine,
    pairsPerSecond: (last.done - first.done) * batchSize / ((last.at - first.at) / 1000),
    losses: cursor.metrics.map(({ loss }) => loss),
    peakMiB: process.resourceUsage().maxRSS / 1024,
    referenceSeconds
  }))
})
await Effect.runPromise(
  program.pipe(
    Effect.provide(Layer.merge(layer(engine as EngineName, { threads: 2 }), Layer.succeed(Progress, listener)))
  )
)
