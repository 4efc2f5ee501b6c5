// One benchmark task asked of one model.
import { BadRow } from "@penchant/dsl/Errors"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as path from "node:path"
import { Engine } from "../compute/Engine.ts"
import { readRows } from "../data/rows.ts"
import { loadTokenizer } from "../data/tokenizer.ts"
import { type Asking, questionsOf } from "../evaluation/tasks/documents.ts"
import { resultsOf, samplesOf } from "../evaluation/tasks/results.ts"
import { runTask } from "../evaluation/tasks/run.ts"
import type { Task } from "../evaluation/tasks/Task.ts"
import { isTask, tasks } from "../evaluation/tasks/tasks.ts"
import { loadedArchitecture } from "../model/families.ts"
import { loadModel } from "../model/load.ts"
import { Progress } from "../platform/Progress.ts"
import { spacing } from "../training/train.ts"
import { folderOf, json, lines, parametersOf } from "./files.ts"
import type { Implementation, Job } from "./Implementation.ts"

const Parameters = Schema.Struct({
  task: Schema.String,
  numbers: Schema.Record(Schema.String, Schema.String),
  first: Schema.optionalKey(Schema.Int),
  shots: Schema.optionalKey(Schema.Int),
  maxTokens: Schema.optionalKey(Schema.Int),
  handWritten: Schema.optionalKey(Schema.Boolean),
  chatTemplate: Schema.optionalKey(Schema.Literals(["turns", "oneTurn"]))
})

/** What an implementation measured, under the names that the language gave its numbers. */
export const named = (
  names: Readonly<Record<string, string>>,
  numbers: Readonly<Record<string, number | string>>
): Record<string, number> => {
  const meta: Record<string, number> = {}
  for (const [name, key] of Object.entries(names)) {
    const [metric, filter] = key.split(",")
    // One that Python tells is not there without it.
    if (numbers[key] === undefined) continue
    meta[name] = numbers[key] as number
    const error = numbers[`${metric}_stderr,${filter}`]
    if (error !== undefined) meta[`${name}Stderr`] = error as number
  }
  return meta
}

/** The rows of an input under the task's schema; what is wrong names the file that they were read from. */
const rowsOf = Effect.fnUntraced(function*<R>(job: Job, name: string, row: Schema.Codec<R, any>) {
  const from = job.step.inputs[name]!
  const file = from.sources["file"] ?? from.title
  const rows = yield* readRows(path.join(yield* folderOf(job, name), "rows.jsonl"), row).pipe(
    Effect.mapError((error) => error._tag === "BadRow" ? new BadRow({ ...error, file }) : error)
  )
  return rows.map((each) => each.row)
})

export const benchmark: Implementation = {
  computes: true,
  run: Effect.fn("benchmark")(function*(job) {
    const { handWritten = false, maxTokens, numbers: names, task: name, ...options } = parametersOf(job, Parameters)
    if (!isTask(name)) return yield* Effect.die(new Error(`${job.label}: there is no task "${name}"`))
    const task = { ...tasks[name], ...(maxTokens === undefined ? {} : { maxTokens }) } as Task
    const rows = yield* rowsOf(job, "data", task.row)
    const { numerics, open } = yield* Engine
    const progress = yield* Progress
    const folder = yield* folderOf(job, "model")
    const tokenizer = yield* loadTokenizer(folder)
    const model = yield* loadModel(folder)
    const { chatTemplate, first = rows.length, shots } = options
    const template = chatTemplate === undefined ? undefined : yield* Effect.fromResult(tokenizer.chatTemplate())
    const asking: Asking<unknown> = {
      first,
      ...(shots === undefined ? {} : { shots }),
      ...(job.inputs["shotData"] === undefined ? {} : { pool: yield* rowsOf(job, "shotData", task.row) }),
      ...(template === undefined
        ? {}
        : { chat: { turns: chatTemplate === "turns", render: (messages) => template.render(messages, true) } })
    }
    const there = questionsOf(task, rows).length
    const total = Math.min(first, there)
    let shownAt = -Infinity
    const result = yield* runTask(task, rows, asking, {
      session: yield* open(model),
      numerics,
      tokenizer,
      window: loadedArchitecture(model.config).maxPositions,
      onDone: (share) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          if (now - shownAt < spacing && share < 1) return Effect.void
          shownAt = now
          const done = Math.round(share * total)
          return progress.emit({ _tag: "StepProgress", label: job.label, done, total, unit: "question" })
        })
    })
    const word = Object.keys(names)[0]!
    return {
      kind: "Scores",
      meta: {
        ...named(names, result.numbers),
        [`${word}Questions`]: total,
        [`${word}Rows`]: there,
        [`${word}Cut`]: result.events.truncated,
        [`${word}Unknown`]: result.events.unknownAnswers,
        [`${word}HandWritten`]: handWritten ? there : 0
      },
      files: {
        "results.json": json(resultsOf(task, result, there, options)),
        "samples.jsonl": lines(samplesOf(task, result))
      }
    }
  }, Effect.scoped)
}
