// A task's rows as lm-eval would ask them: description, worked examples, the question; as text or by a chat template.
import { BadFile, BadTokens } from "@penchant/dsl/Errors"
import type { Message } from "@penchant/dsl/Pair"
import * as Result from "effect/Result"
import { pythonRandom } from "../pythonRandom.ts"
import type { Task } from "./Task.ts"

/** lm-eval's `fewshot_random_seed`. */
export const shotSeed = 1234

export interface Asked<R> {
  readonly row: R
  /** Description and worked examples; where a chat template is asked for, nothing is apart from `context`. */
  readonly before: string
  readonly context: string
}

export interface Asking<R> {
  /** Worked examples per question; the task's own number when absent. */
  readonly shots?: number
  /** Rows to take them from; the task may have its own. */
  readonly pool?: ReadonlyArray<R>
  /** Only the first so many questions. */
  readonly first?: number
  readonly chat?: {
    /** Worked examples as turns of their own, or all in the one user turn. */
    readonly turns: boolean
    /** Text of a conversation up to where the answer begins; fails with a reason. */
    readonly render: (messages: ReadonlyArray<Message>) => Result.Result<string, string>
  }
}

/** Rows under one schema have their fields in one order. */
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

/** lm-eval keeps to no examples where the task says none. */
export const shotsOf = ({ shots: { count, from } }: Task, shots: number | undefined): number =>
  count === 0 && from === "fixed" ? 0 : shots ?? count

/** The examples of each question in turn: one generator per task, drawn from question by question. */
const examples = <R>(task: Task<R>, { pool: given, shots }: Asking<R>): Result.Result<
  (row: R) => ReadonlyArray<R>,
  BadFile
> => {
  const { drawsOneMore = false, fixed, from } = task.shots
  const count = shotsOf(task, shots)
  const pool = fixed ?? given ?? []
  const drawn = count + (drawsOneMore && from === "random" ? 1 : 0)
  if (count > 0 && pool.length < drawn) {
    return Result.fail(
      new BadFile({
        file: task.name,
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
      .filter((example) => !drawsOneMore || !same(example, row)).slice(0, count)
  )
}

/** The rows that the task asks. */
export const questionsOf = <R>({ keep }: Task<R>, rows: ReadonlyArray<R>): ReadonlyArray<R> =>
  keep === undefined ? rows : rows.filter(keep)

export const ask = <R>(
  task: Task<R>,
  rows: ReadonlyArray<R>,
  asking: Asking<R>
): Result.Result<ReadonlyArray<Asked<R>>, BadFile | BadTokens> =>
  Result.flatMap(examples(task, asking), (examplesOf) => {
    const solved = task.shots.target ?? task.target
    const one = (row: R, i: number): Result.Result<Asked<R>, BadTokens> => {
      const description = typeof task.description === "string" ? task.description : task.description(row)
      const shots = examplesOf(row)
      const worked = shots.map((shot) => `${task.text(shot)} ${solved(shot)}\n\n`).join("")
      const { chat } = asking
      if (chat === undefined) {
        return Result.succeed({ row, before: description + worked, context: description + worked + task.text(row) })
      }
      const messages: ReadonlyArray<Message> = [
        ...(description === "" ? [] : [{ role: "system", content: description }]),
        ...(chat.turns
          ? shots.flatMap((shot) => [
            { role: "user", content: task.text(shot) },
            { role: "assistant", content: solved(shot) }
          ])
          : []),
        { role: "user", content: (chat.turns ? "" : worked) + task.text(row) }
      ]
      return Result.mapBoth(chat.render(messages), {
        onFailure: (problem) => new BadTokens({ row: `${task.name} ${i}`, problem }),
        onSuccess: (context) => ({ row, before: "", context })
      })
    }
    return Result.all(questionsOf(task, rows).slice(0, asking.first).map(one))
  })
