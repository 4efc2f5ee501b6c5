// One training run in a process of its own, for killed.test.ts: says "running" on its first engine run, trains 12 steps
// with a checkpoint after each, prints the digest of weights, moments and metrics, and ends. `room` is that of the device in
// rows; every batch that it refuses is a line "refused".
import { sha256 } from "@penchant/dsl/Identity"
import { recipe } from "@penchant/dsl/Recipe"
import { dpo } from "@penchant/objectives"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { writeSync } from "node:fs"
import { Progress } from "../../src/platform/Progress.ts"
import { train } from "../../src/training/train.ts"
import { bigram, engine, logProbsOf, pairs } from "./bigram.ts"

const [directory = "", delay = "0", room] = process.argv.slice(2)
const model = bigram()
const data = pairs(24)

const program = Effect.map(
  train({
    label: "killed",
    model,
    data,
    reference: logProbsOf(model, data),
    referenceIsStart: true,
    objective: dpo(),
    recipe: recipe({ batchSize: 4, epochs: 2, learningRate: 0.05, snapshots: 2 }),
    policy: { checkpointEvery: 1 },
    scratch: directory,
    identity: { run: "killed" }
  }),
  ({ cursor, model, optimiser }) => {
    const bytes = [model.parameters, optimiser.m, optimiser.v].map((vector) => new Uint8Array(vector.buffer))
    writeSync(1, `done ${sha256(Buffer.concat(bytes))} ${sha256(JSON.stringify(cursor))}\n`)
  }
)
const running = (runs: number): void => void (runs === 1 && writeSync(1, "running\n"))
await Effect.runPromise(Effect.provide(
  program,
  Layer.merge(
    engine({
      groups: [1, 2, 4],
      delay: Number(delay),
      onRun: running,
      ...(room === undefined ? {} : { room: Number(room), onRefused: () => void writeSync(1, "refused\n") })
    }),
    Progress.silent
  )
))
