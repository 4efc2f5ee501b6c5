// Questions that lm-eval asked, asked again: `*.jsonl` with a question a line, contexts and all, so that no data set is needed.
// Where `rows.json` has the rows that they were made of (task -> rows, `task shots` -> rows of worked examples), contexts are
// made again too.
import { BadFile, type BadRow, type BadTokens, type ComputeError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as path from "node:path"
import { Engine, type ModelState } from "../../compute/Engine.ts"
import { readRows } from "../../data/rows.ts"
import { loadTokenizer } from "../../data/tokenizer.ts"
import { loadedArchitecture } from "../../model/families.ts"
import { loglikelihoods } from "../loglikelihood.ts"
import { responses } from "../responses.ts"
import type { Subject } from "../Subject.ts"
import { ask } from "../tasks/documents.ts"
import { choiceMetrics } from "../tasks/run.ts"
import type { ChoiceTask, GenerationTask } from "../tasks/Task.ts"
import { isTask, tasks } from "../tasks/tasks.ts"
import { type Check, check, type Conformance, largest, read } from "./references.ts"

const Question = Schema.Struct({
  task: Schema.String,
  num_fewshot: Schema.Int,
  doc_id: Schema.Int,
  context: Schema.String,
  /** Of each choice, where they differ. */
  contexts: Schema.optionalKey(Schema.Array(Schema.String)),
  continuations: Schema.optionalKey(Schema.Array(Schema.String)),
  lls: Schema.optionalKey(Schema.Array(Schema.Finite)),
  target: Schema.Union([Schema.String, Schema.Int]),
  response: Schema.optionalKey(Schema.String),
  gen_kwargs: Schema.optionalKey(
    Schema.Struct({ until: Schema.Array(Schema.String), max_gen_toks: Schema.optionalKey(Schema.Int) })
  ),
  filtered: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  metrics: Schema.Record(Schema.String, Schema.Finite)
})
type Question = typeof Question.Type

const Pool = Schema.Array(Schema.Unknown)
/** A pool of which only some rows are there, by their places. */
const SparsePool = Schema.Struct({ count: Schema.Int, rows: Schema.Record(Schema.String, Schema.Unknown) })
const Rows = Schema.Record(Schema.String, Schema.Union([Pool, SparsePool]))

/** Log-likelihoods are written with five digits, of float32. */
const ofLoglikelihoods = 1e-3

const differing = <A>(questions: ReadonlyArray<A>, differs: (question: A, i: number) => boolean): number =>
  questions.filter(differs).length

const choiceChecks = Effect.fnUntraced(
  function*(
    title: string,
    task: ChoiceTask<unknown> | undefined,
    questions: ReadonlyArray<Question>,
    subject: Subject
  ) {
    const { values } = yield* loglikelihoods(
      subject,
      questions.map(({ context, contexts, continuations = [], doc_id }) =>
        continuations.map((continuation, c) => ({
          row: `${title} ${doc_id}`,
          context: contexts?.[c] ?? context,
          continuation
        }))
      )
    )
    let at = 0
    const ours = questions.map(({ continuations = [] }) => [...values.subarray(at, at += continuations.length)])
    const checks: Array<Check> = [
      check(
        `${title}: log-likelihoods of ${values.length} choices`,
        Math.max(...questions.map(({ lls = [] }, i) => largest(ours[i]!, lls))),
        ofLoglikelihoods
      )
    ]
    for (const name of task?.gap === undefined ? task?.metrics ?? [] : []) {
      // Which answers are true beside the first is not among what lm-eval writes down.
      if (name === "mc2") continue
      const { key, of } = choiceMetrics[name]
      const wrong = differing(questions, ({ continuations = [], metrics, target }, i) => {
        const choices = continuations.map((text) => text.trimStart())
        const gold = typeof target === "number" ? target : choices.indexOf(target)
        return of(ours[i]!, choices, gold, []) !== metrics[key]
      })
      checks.push(check(`${title}: ${key} that differs`, wrong, 0))
    }
    return checks
  }
)

const generationChecks = Effect.fnUntraced(
  function*(
    title: string,
    task: GenerationTask<unknown> | undefined,
    questions: ReadonlyArray<Question>,
    subject: Subject
  ) {
    const { max_gen_toks: maxTokens = task?.maxTokens ?? 256, until = task?.until ?? [] } = questions[0]!.gen_kwargs ??
      {}
    const asked = { name: title, maxTokens, until }
    const { values } = yield* responses(subject, asked, questions.map(({ context }) => context))
    const checks: Array<Check> = [
      check(
        `${title}: ${values.length} responses that differ`,
        differing(questions, ({ response }, i) => response !== values[i]),
        0
      )
    ]
    for (const [name, filter] of Object.entries(task?.filters ?? {})) {
      const answers = values.map(filter)
      const wrong = differing(questions, ({ filtered }, i) => filtered?.[name] !== answers[i])
      checks.push(check(`${title}: answers by ${name} that differ`, wrong, 0))
      for (const [metric, judge] of Object.entries(task?.judge ?? {})) {
        const key = `${metric},${name}`
        // Ours may have metrics that lm-eval has not.
        const known = questions.flatMap(({ metrics, target }, i) =>
          metrics[key] === undefined ? [] : [metrics[key] !== Number(judge(answers[i]!, String(target)))]
        )
        if (known.length > 0) checks.push(check(`${title}: ${key} that differs`, differing(known, (is) => is), 0))
      }
    }
    return checks
  }
)

/** Contexts made of the rows of `file` again; nothing where they are not there. */
const contextChecks = (
  title: string,
  questions: ReadonlyArray<Question>,
  rows: typeof Rows.Type,
  file: string
): Result.Result<ReadonlyArray<Check>, BadFile | BadTokens> => {
  const { num_fewshot: shots, task } = questions[0]!
  const asked = rows[task]
  if (!isTask(task) || !Array.isArray(asked)) return Result.succeed([])
  const decode = Schema.decodeUnknownResult(tasks[task].row)
  const decoded = (values: ReadonlyArray<unknown>) =>
    Result.all(values.map((value) =>
      // Rows that are not there are never drawn.
      value === undefined
        ? Result.succeed(undefined)
        : Result.mapError(decode(value), ({ message }) => new BadFile({ file, problem: `${task}: ${message}` }))
    ))
  const from = rows[`${task} shots`]
  return Result.gen(function*() {
    const pool = from === undefined
      ? undefined
      : yield* decoded("count" in from ? Array.from({ length: from.count }, (_, i) => from.rows[i]) : from)
    const made = yield* ask(tasks[task], yield* decoded(asked), { shots, ...(pool === undefined ? {} : { pool }) })
    const wrong = differing(questions, ({ context, contexts, doc_id }) => {
      const { before, context: ours } = made[doc_id] ?? { before: "", context: "" }
      return contexts === undefined ? ours !== context : !contexts.every((each) => each.startsWith(before))
    })
    return [check(`${title}: contexts that differ`, wrong, 0)]
  })
}

/** `file` is a `*.jsonl`; `model` lies in `modelFolder`. */
export const lmEvalChecks: (
  file: string,
  model: ModelState,
  modelFolder: string
) => Effect.Effect<Conformance, ComputeError | BadFile | BadRow | BadTokens, Engine> = Effect.fnUntraced(
  function*(file, model, modelFolder) {
    const { numerics, open } = yield* Engine
    const questions = (yield* readRows(file, Question)).map(({ row }) => row)
    const rowsFile = path.join(path.dirname(file), "rows.json")
    const rows = (yield* read(rowsFile, Rows)) ?? {}
    const tokenizer = yield* loadTokenizer(modelFolder)
    return yield* Effect.scoped(Effect.gen(function*() {
      const session = yield* open(model)
      const subject: Subject = { session, numerics, tokenizer, window: loadedArchitecture(model.config).maxPositions }
      const checks: Array<Check> = []
      const skipped: Array<Conformance["skipped"][number]> = []
      for (const [title, some] of Map.groupBy(questions, (each) => `lm-eval ${each.task}, ${each.num_fewshot} shots`)) {
        const { continuations, task: name } = some[0]!
        const task = isTask(name) ? tasks[name] : undefined
        checks.push(...yield* Effect.fromResult(contextChecks(title, some, rows, rowsFile)))
        if (continuations !== undefined) {
          checks.push(...yield* choiceChecks(title, task?.kind === "choices" ? task : undefined, some, subject))
        } else {
          checks.push(...yield* generationChecks(title, task?.kind === "generation" ? task : undefined, some, subject))
        }
      }
      return { checks, skipped }
    }))
  }
)
