// A benchmark task on an open model: questions asked, answers judged, numbers under lm-eval's keys.
import { BadFile, type BadTokens, type ComputeError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import { loglikelihoods } from "../loglikelihood.ts"
import { responses } from "../responses.ts"
import type { Subject } from "../Subject.ts"
import { ask, type Asked, type Asking } from "./documents.ts"
import type { ChoiceTask, GenerationTask, Task } from "./Task.ts"

/** One question. */
export interface Answered {
  /** The row. */
  readonly doc: unknown
  /** Of the first choice, where choices fill a gap. */
  readonly context: string
  readonly target: string
  readonly continuations?: ReadonlyArray<string>
  readonly lls?: ReadonlyArray<number>
  readonly response?: string
  readonly filtered?: Readonly<Record<string, string>>
  /** "acc,none" and the like. */
  readonly metrics: Readonly<Record<string, number>>
}

/** What went another way than asked, by number of questions. */
export interface Events {
  /** Contexts cut from the left to fit the window. */
  readonly truncated: number
  /** Right answers that are not among the choices: counted as wrong. */
  readonly unknownAnswers: number
}

export interface TaskResult {
  readonly answers: ReadonlyArray<Answered>
  /** "acc,none" and "acc_stderr,none". */
  readonly numbers: Readonly<Record<string, number>>
  readonly events: Events
}

/** The first of the largest. */
const argmax = (values: ReadonlyArray<number>): number => values.indexOf(Math.max(...values))

/** Per choice task metric: from the log-likelihoods of the choices. */
export const choiceMetrics: Readonly<
  Record<ChoiceTask<unknown>["metrics"][number], {
    readonly key: string
    readonly of: (
      lls: ReadonlyArray<number>,
      choices: ReadonlyArray<string>,
      gold: number,
      right: ReadonlyArray<boolean>
    ) => number
  }>
> = {
  acc: { key: "acc,none", of: (lls, _, gold) => Number(argmax(lls) === gold) },
  // Code points, as Python's len counts them, without the space before the choice.
  acc_norm: {
    key: "acc_norm,none",
    of: (lls, choices, gold) => Number(argmax(lls.map((ll, i) => ll / Array.from(choices[i]!).length)) === gold)
  },
  mc2: {
    key: "acc,none",
    of: (lls, _, _gold, right) => {
      // Long answers have no mass that a double could hold; their ratio has.
      const most = Math.max(...lls)
      const masses = lls.map((ll) => Math.exp(ll - most))
      const total = masses.reduce((a, b) => a + b, 0)
      return masses.reduce((sum, mass, i) => sum + (right[i] === true ? mass : 0), 0) / total
    }
  }
}

/** Mean of each metric over the questions and its standard error, n - 1 below; no error of one answer. */
export const summary = (all: ReadonlyArray<Answered["metrics"]>): Record<string, number> => {
  const numbers: Record<string, number> = {}
  const n = all.length
  for (const key of Object.keys(all[0] ?? {})) {
    const values = all.map((metrics) => metrics[key]!)
    const mean = values.reduce((a, b) => a + b, 0) / n
    const [name, filter] = key.split(",")
    numbers[key] = mean
    if (n > 1) {
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1)
      numbers[`${name}_stderr,${filter}`] = Math.sqrt(variance / n)
    }
  }
  return numbers
}

const choices = Effect.fnUntraced(function*<R>(
  task: ChoiceTask<R>,
  asked: ReadonlyArray<Asked<R>>,
  chat: boolean,
  subject: Subject
): Effect.fn.Return<TaskResult, ComputeError | BadTokens> {
  const questions = asked.map(({ before, context, row }, i) => {
    const id = `${task.name} ${i}`
    const gap = task.gap?.(row)
    return gap === undefined
      // A chat template says itself how an answer begins.
      ? task.choices(row).map((choice) => ({ row: id, context, continuation: chat ? choice : ` ${choice}` }))
      : gap.contexts.map((each) => ({
        row: id,
        // The sentence with this choice in its gap.
        context: before + each,
        continuation: gap.continuation
      }))
  })
  const { truncated, values } = yield* loglikelihoods(subject, questions)
  let at = 0
  let unknownAnswers = 0
  const answers = asked.map(({ row }, i): Answered => {
    const lls = Array.from(values.subarray(at, at += questions[i]!.length))
    const gold = task.gold(row)
    if (gold < 0) unknownAnswers += 1
    const right = task.right?.(row) ?? []
    return {
      doc: row,
      context: questions[i]![0]!.context,
      target: task.target(row),
      continuations: questions[i]!.map(({ continuation }) => continuation),
      lls,
      metrics: Object.fromEntries(task.metrics.map((name) => {
        const { key, of } = choiceMetrics[name]
        return [key, of(lls, task.choices(row), gold, right)]
      }))
    }
  })
  return { answers, numbers: summary(answers.map(({ metrics }) => metrics)), events: { truncated, unknownAnswers } }
})

const generation = Effect.fnUntraced(function*<R>(
  task: GenerationTask<R>,
  asked: ReadonlyArray<Asked<R>>,
  subject: Subject
): Effect.fn.Return<TaskResult, ComputeError | BadTokens> {
  const { values, truncated } = yield* responses(subject, task, asked.map(({ context }) => context))
  const answers = asked.map(({ context, row }, i): Answered => {
    const response = values[i]!
    const target = task.target(row)
    const filtered = Object.fromEntries(Object.entries(task.filters).map(([name, filter]) => [name, filter(response)]))
    const metrics = Object.entries(task.judge).flatMap(([metric, judge]) =>
      Object.entries(filtered).map(([name, answer]) => [`${metric},${name}`, Number(judge(answer, target))] as const)
    )
    return { doc: row, context, target, response, filtered, metrics: Object.fromEntries(metrics) }
  })
  return {
    answers,
    numbers: summary(answers.map(({ metrics }) => metrics)),
    events: { truncated, unknownAnswers: answers.filter(({ target }) => target === "").length }
  }
})

/** Rows are taken as they are: check them against `task.row` where they are read. */
export const runTask = Effect.fn("benchmark")(
  function*<R>(task: Task<R>, rows: ReadonlyArray<R>, asking: Asking<R>, subject: Subject): Effect.fn.Return<
    TaskResult,
    ComputeError | BadTokens | BadFile
  > {
    const { name: file } = task
    if (asking.chat !== undefined && task.kind === "choices" && task.gap !== undefined) {
      const problem = "its choices fill a gap in the question, which no chat template has a place for"
      return yield* new BadFile({ file, problem, remedy: "ask it without one" })
    }
    const asked = yield* Effect.fromResult(ask(task, rows, asking))
    if (asked.length === 0) return yield* new BadFile({ file, problem: "there is no question to ask" })
    return yield* task.kind === "choices"
      ? choices(task, asked, asking.chat !== undefined, subject)
      : generation(task, asked, subject)
  }
)
