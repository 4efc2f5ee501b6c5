// A benchmark task on an open model: questions asked, answers judged, numbers under lm-eval's keys.
import { BadFile, BadTokens, type ComputeError, EngineError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import type { Numerics, Session } from "../../compute/Engine.ts"
import type { Tokenizer } from "../../data/tokenizer.ts"
import { greedy, type Prompt } from "../../generation/Generation.ts"
import { encodeContext, loglikelihoods } from "../loglikelihood.ts"
import { ask, type Asked, type Asking } from "./documents.ts"
import type { ChoiceTask, GenerationTask, Task } from "./Task.ts"

export interface Subject {
  readonly session: Session
  readonly numerics: Numerics
  readonly tokenizer: Tokenizer
  /** Tokens that the model can see. */
  readonly window: number
  /** Hears which share of the work is done. */
  readonly onDone?: (share: number) => Effect.Effect<void>
}

/** One question, as lm-eval's sample files have it. */
export interface Answered {
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
const choiceMetrics: Readonly<
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

/** Mean and its standard error, n - 1 below; no error of one answer. */
const summary = (answers: ReadonlyArray<Answered>): Record<string, number> => {
  const numbers: Record<string, number> = {}
  const n = answers.length
  for (const key of Object.keys(answers[0]?.metrics ?? {})) {
    const values = answers.map(({ metrics }) => metrics[key]!)
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
  { numerics, onDone, session, tokenizer, window }: Subject
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
  const { truncated, values } = yield* loglikelihoods(session, numerics, tokenizer, window, questions, onDone)
  let at = 0
  let unknownAnswers = 0
  const answers = asked.map(({ row }, i): Answered => {
    const lls = Array.from(values.subarray(at, at += questions[i]!.length))
    const gold = task.gold(row)
    if (gold < 0) unknownAnswers += 1
    const right = task.right?.(row) ?? []
    return {
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
  return { answers, numbers: summary(answers), events: { truncated, unknownAnswers } }
})

/** Prompts of one batch: tokens with room for what is generated. */
const tokenBudget = 32_768

const generation = Effect.fnUntraced(function*<R>(
  task: GenerationTask<R>,
  asked: ReadonlyArray<Asked<R>>,
  { numerics, onDone = () => Effect.void, session, tokenizer, window }: Subject
): Effect.fn.Return<TaskResult, ComputeError | BadTokens> {
  const { generate } = session
  if (generate === undefined) {
    return yield* new EngineError({
      engine: numerics.engine,
      operation: "generate",
      problem: `does not generate, which ${task.name} needs; use the onnx engine`
    })
  }
  const room = window - task.maxTokens
  if (room <= 0) {
    return yield* new BadTokens({
      row: task.name,
      problem: `${task.maxTokens} new tokens leave no room for a prompt in a window of ${window}`
    })
  }
  const stop = tokenizer.eos === undefined ? task.until : [...task.until, tokenizer.decode([tokenizer.eos])]
  let truncated = 0
  const prompts: Array<Prompt> = []
  for (const [i, { context }] of asked.entries()) {
    const ids = encodeContext(context, tokenizer)
    if (ids.length === 0) {
      return yield* new BadTokens({ row: `${task.name} ${i}`, problem: "has no token to start from" })
    }
    if (ids.length > room) truncated += 1
    prompts.push({ id: `${task.name}/${i}`, tokens: Int32Array.from(ids.slice(-room)) })
  }
  const order = [...prompts.keys()].toSorted((a, b) => prompts[b]!.tokens.length - prompts[a]!.tokens.length)
  const responses: Array<string> = []
  for (let from = 0; from < order.length;) {
    const count = Math.max(1, Math.floor(tokenBudget / (prompts[order[from]!]!.tokens.length + task.maxTokens)))
    const batch = order.slice(from, from + count)
    from += count
    const samples = yield* generate(batch.map((p) => prompts[p]!), {
      sampling: greedy,
      samples: 1,
      maxTokens: task.maxTokens,
      eos: tokenizer.eos === undefined ? [] : [tokenizer.eos],
      stop,
      tokenizer: tokenizer.directory,
      seed: 0
    })
    samples.forEach(({ tokens }, i) => {
      const text = tokenizer.decode(tokens, true)
      responses[batch[i]!] = stop.reduce((rest, each) => rest.split(each)[0]!, text)
    })
    yield* onDone(Math.min(from, order.length) / order.length)
  }
  const answers = asked.map(({ context, row }, i): Answered => {
    const response = responses[i]!
    const filtered = Object.fromEntries(Object.entries(task.filters).map(([name, filter]) => [name, filter(response)]))
    const metrics = Object.entries(task.judge).flatMap(([metric, judge]) =>
      Object.entries(filtered).map(([name, answer]) => [`${metric},${name}`, Number(judge(answer, row))] as const)
    )
    return { context, target: task.target(row), response, filtered, metrics: Object.fromEntries(metrics) }
  })
  return {
    answers,
    numbers: summary(answers),
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
