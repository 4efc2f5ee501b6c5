// A task's rows as lm-eval would ask them: description, worked examples, the question. Leaves out chat templates.
import { BadFile } from "@penchant/dsl/Errors"
import * as Result from "effect/Result"
import { pythonRandom } from "../pythonRandom.ts"
import type { Task } from "./Task.ts"

/** lm-eval's `fewshot_random_seed`. */
const shotSeed = 1234

export interface Asked<R> {
  readonly row: R
  readonly context: string
}

export interface Asking<R> {
  /** Worked examples per question; the task's own number when absent. */
  readonly shots?: number
  /** Rows to take them from; the task may have its own. */
  readonly pool?: ReadonlyArray<R>
  /** Only the first so many questions. */
  readonly first?: number
}

/** The examples of each question in turn: one generator per task, drawn from question by question. */
const examples = <R>(
  { name, shots: { count: usual, drawsOneMore = false, fixed, from } }: Task<R>,
  { pool: given, shots }: Asking<R>
): Result.Result<(row: R) => ReadonlyArray<R>, BadFile> => {
  // lm-eval keeps to no examples where the task says none.
  const count = usual === 0 && from === "fixed" ? 0 : shots ?? usual
  const pool = fixed ?? given ?? []
  const drawn = count + (drawsOneMore && from === "random" ? 1 : 0)
  if (count > 0 && pool.length < drawn) {
    return Result.fail(
      new BadFile({
        file: name,
        problem: `asks for ${count} worked examples, and there are ${pool.length} rows to take them from`,
        remedy: "give the task more rows as `shotData`, or fewer shots"
      })
    )
  }
  if (count === 0) return Result.succeed(() => [])
  if (from !== "random") return Result.succeed(() => pool.slice(0, count))
  const random = pythonRandom(shotSeed)
  return Result.succeed((row) =>
    random.sample(pool.length, drawn).map((i) => pool[i]!)
      .filter((example) => !drawsOneMore || example !== row).slice(0, count)
  )
}

export const ask = <R>(
  task: Task<R>,
  rows: ReadonlyArray<R>,
  asking: Asking<R>
): Result.Result<ReadonlyArray<Asked<R>>, BadFile> =>
  Result.map(examples(task, asking), (examplesOf) =>
    rows.slice(0, asking.first).map((row) => {
      const description = typeof task.description === "string" ? task.description : task.description(row)
      const worked = examplesOf(row).map((shot) => `${task.text(shot)} ${task.target(shot)}\n\n`)
      return { row, context: description + worked.join("") + task.text(row) }
    }))
