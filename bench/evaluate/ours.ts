// Our side of bench/evaluate: prints one JSON line. `ours.ts DATA`.
import { Engine } from "@penchant/runtime/compute/Engine"
import { layer } from "@penchant/runtime/compute/Engines"
import { readRows } from "@penchant/runtime/data/rows"
import { loadTokenizer } from "@penchant/runtime/data/tokenizer"
import { runTask } from "@penchant/runtime/evaluation/tasks/run"
import { tasks } from "@penchant/runtime/evaluation/tasks/tasks"
import { loadedArchitecture } from "@penchant/runtime/model/families"
import { loadModel } from "@penchant/runtime/model/load"
import * as Effect from "effect/Effect"
import * as path from "node:path"

const data = process.argv[2]!
const folder = path.join(data, "models/stories260K")
const asked = [
  ["leaderboard_bbh_boolean_expressions", "bbh/boolean_expressions"],
  ["leaderboard_bbh_snarks", "bbh/snarks"],
  ["gsm8k", "gsm8k/test", "gsm8k/train"]
] as const

const program = Effect.gen(function*() {
  const { numerics, open } = yield* Engine
  const tokenizer = yield* loadTokenizer(folder)
  const model = yield* loadModel(folder)
  const rowsOf = (file: string) =>
    Effect.map(readRows(path.join(data, "benchmarks", `${file}.jsonl`)), (rows) => rows.map(({ row }) => row))
  const seconds: Record<string, number> = {}
  const numbers: Record<string, number> = {}
  for (const [name, questions, shots] of asked) {
    const task = tasks[name]
    const rows = yield* rowsOf(questions)
    const session = yield* open(model)
    const [started, cpu] = [performance.now(), process.cpuUsage()]
    const result = yield* runTask(
      task,
      rows,
      shots === undefined ? {} : { pool: yield* rowsOf(shots) },
      { session, numerics, tokenizer, window: loadedArchitecture(model.config).maxPositions }
    )
    const kind = task.kind === "choices" ? "multiple choice" : "generation"
    seconds[kind] = (seconds[kind] ?? 0) + (performance.now() - started) / 1000
    const { system, user } = process.cpuUsage(cpu)
    seconds[`${kind}, CPU`] = (seconds[`${kind}, CPU`] ?? 0) + (system + user) / 1e6
    for (const [key, value] of Object.entries(result.numbers)) {
      if (!key.includes("_stderr,")) numbers[`${name} ${key}`] = value
    }
  }
  return { seconds, numbers, note: `${numerics.engine} ${numerics.version}, ${numerics.compute}, 2 threads` }
}).pipe(Effect.scoped, Effect.provide(layer("onnx", { threads: 2 })))

console.log(JSON.stringify(await Effect.runPromise(program)))
