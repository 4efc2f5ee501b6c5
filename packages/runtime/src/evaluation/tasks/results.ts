// Results under lm-eval's names, so that what reads its `results_*.json` reads ours. What lm-eval knows and we do not (batch
// size, seeds that nothing here draws from, its commit) is left out.
import { sha256 } from "@penchant/dsl/Identity"
import { shotSeed, shotsOf } from "./documents.ts"
import type { TaskResult } from "./run.ts"
import type { GenerationTask, Task } from "./Task.ts"

type PerTask<A> = Readonly<Record<string, A>>
type Numbers = Readonly<Record<string, number>>

/** "acc,none" and "acc_stderr,none" among what is said of a task; `sample_count`: of a group, questions behind each number. */
type Row = Numbers & { readonly name: string; readonly alias: string; readonly sample_count?: Numbers }

export interface Results {
  /** A group has a row beside its tasks. */
  readonly results: PerTask<Row>
  readonly groups?: PerTask<Row>
  readonly group_subtasks: PerTask<ReadonlyArray<string>>
  readonly configs: PerTask<object>
  readonly versions: PerTask<number | "N/A">
  readonly "n-shot": PerTask<number>
  readonly higher_is_better: PerTask<Readonly<Record<string, boolean>>>
  readonly "n-samples": PerTask<{ readonly original: number; readonly effective: number }>
  /** Ours: contexts cut to fit the window, and right answers that are not among the choices. */
  readonly events: PerTask<{ readonly truncated: number; readonly unknownAnswers: number }>
}

export interface Options {
  readonly first?: number
  readonly shots?: number
  readonly chatTemplate?: "turns" | "oneTurn"
}

const generationOf = ({ maxTokens, until }: GenerationTask<any>) => ({
  until,
  max_gen_toks: maxTokens,
  do_sample: false,
  temperature: 0
})

export const resultsOf = (
  task: Task,
  { answers, events, numbers }: TaskResult,
  rows: number,
  { chatTemplate, first, shots }: Options
): Results => {
  const { name, version } = task
  const of = <A>(value: A): PerTask<A> => ({ [name]: value })
  const metrics = Object.keys(numbers).filter((key) => !key.includes("_stderr,")).map((key) => key.split(",")[0]!)
  return {
    results: of(Object.assign({ name, alias: name, sample_len: answers.length }, numbers) as unknown as Row),
    group_subtasks: {},
    configs: of({
      task: name,
      output_type: task.kind === "choices" ? "multiple_choice" : "generate_until",
      num_fewshot: shotsOf(task, shots),
      fewshot_seed: shotSeed,
      ...(task.kind === "choices" ? {} : { generation_kwargs: generationOf(task) }),
      ...(first === undefined ? {} : { limit: first }),
      apply_chat_template: chatTemplate !== undefined,
      fewshot_as_multiturn: chatTemplate === "turns",
      metadata: { version }
    }),
    versions: of(version),
    "n-shot": of(shotsOf(task, shots)),
    higher_is_better: of(Object.fromEntries(metrics.map((metric) => [metric, true]))),
    "n-samples": of({ original: rows, effective: answers.length }),
    events: of(events)
  }
}

/** Side by side, part by part. */
export const joined = (all: ReadonlyArray<Results>): Results => {
  const parts: Record<string, object> = {}
  for (const results of all) {
    for (const [part, tasks] of Object.entries(results)) parts[part] = { ...parts[part], ...tasks }
  }
  return parts as unknown as Results
}

/** Mean over all questions of all tasks, and the pooled standard error of it, as lm-eval's `weight_by_size`. */
export const pooled = ({ "n-samples": samples, results }: Results, key: string): Numbers => {
  const [metric, filter] = key.split(",")
  const stderrKey = `${metric}_stderr,${filter}`
  const parts = Object.entries(results).map(([name, numbers]) => ({
    n: samples[name]!.effective,
    value: numbers[key],
    error: numbers[stderrKey]
  }))
  const total = parts.reduce((sum, { n }) => sum + n, 0)
  // A metric that not every task has is none of the group.
  if (parts.some(({ value }) => value === undefined)) return {}
  const mean = parts.reduce((sum, { n, value }) => sum + n * value!, 0) / total
  // A task of one question has no error of its own, and the group then has none.
  if (parts.some(({ error }) => error === undefined)) return { [key]: mean }
  const variance = parts.reduce((sum, { error, n }) => sum + (n - 1) * error! ** 2 * n, 0) / (total - parts.length)
  return { [key]: mean, [stderrKey]: Math.sqrt(variance / total) }
}

/** The tasks of a group with the group's own row. */
export const grouped = (name: string, keys: ReadonlyArray<string>, tasks: ReadonlyArray<Results>): Results => {
  const all = joined(tasks)
  const questions = Object.values(all["n-samples"]).reduce((sum, { effective }) => sum + effective, 0)
  const numbers: Numbers = Object.assign({}, ...keys.map((key) => pooled(all, key)))
  const row = {
    name,
    alias: name,
    sample_len: questions,
    ...numbers,
    sample_count: Object.fromEntries(
      Object.keys(numbers).filter((key) => !key.includes("_stderr,")).map((key) => [key, questions])
    )
  } as unknown as Row
  const shots = new Set(Object.values(all["n-shot"]))
  const [first] = Object.values(all.higher_is_better)
  const metrics = new Set(keys.map((key) => key.split(",")[0]!))
  return {
    ...all,
    results: { ...all.results, [name]: row },
    groups: { [name]: row },
    group_subtasks: { [name]: Object.keys(all.results) },
    versions: { ...all.versions, [name]: "N/A" },
    "n-shot": { ...all["n-shot"], ...(shots.size === 1 ? { [name]: [...shots][0]! } : {}) },
    higher_is_better: {
      ...all.higher_is_better,
      [name]: Object.fromEntries(Object.entries(first ?? {}).filter(([metric]) => metrics.has(metric)))
    }
  }
}

/**
 * One line per question and filter, as lm-eval's `samples_TASK_*.jsonl`: `prompt_hash` is equal where the
 * question is asked word for word alike. Leaves out worked examples (the hash is of the whole prompt, `arg_0` is the question),
 * `doc_hash` (fields that no task reads are not kept) and whether an answer is greedy.
 */
export const samplesOf = (task: Task, { answers }: TaskResult): ReadonlyArray<object> =>
  answers.flatMap((
    { context, continuations, doc, filtered = { none: undefined }, lls, metrics, response, target },
    i
  ) =>
    Object.entries(filtered).map(([filter, answer]) => {
      const of = Object.entries(metrics).flatMap(([key, value]) => {
        const [metric, by] = key.split(",")
        return by === filter ? [[metric!, value] as const] : []
      })
      const question = task.text(doc)
      const asked = continuations ?? [task.kind === "generation" ? generationOf(task) : {}]
      return Object.assign({
        doc_id: i,
        doc,
        target,
        arguments: Object.fromEntries(asked.map((arg, a) => [`gen_args_${a}`, { arg_0: question, arg_1: arg }])),
        resps: lls === undefined ? [[response]] : lls.map((ll) => [[String(ll)]]),
        filtered_resps: lls === undefined ? [answer] : lls.map((ll) => [String(ll)]),
        filter,
        metrics: of.map(([metric]) => metric),
        prompt_hash: sha256(context)
      }, Object.fromEntries(of))
    })
  )
