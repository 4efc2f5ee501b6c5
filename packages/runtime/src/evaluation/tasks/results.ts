// Results under lm-eval's names, so that what reads its `results_*.json` reads ours. What lm-eval knows and we do not (batch
// size, seeds that nothing here draws from, its commit) is left out.
import { shotSeed, shotsOf } from "./documents.ts"
import type { TaskResult } from "./run.ts"
import type { Task } from "./Task.ts"

type PerTask<A> = Readonly<Record<string, A>>
type Numbers = Readonly<Record<string, number>>

export interface Results {
  /** "acc,none" and "acc_stderr,none"; a group has a row beside its tasks. */
  readonly results: PerTask<Numbers & { readonly alias: string }>
  readonly groups?: PerTask<Numbers & { readonly alias: string }>
  readonly group_subtasks?: PerTask<ReadonlyArray<string>>
  readonly configs: PerTask<object>
  readonly versions: PerTask<string>
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
    results: of({ alias: name, ...numbers } as Results["results"][string]),
    configs: of({
      task: name,
      output_type: task.kind === "choices" ? "multiple_choice" : "generate_until",
      num_fewshot: shotsOf(task, shots),
      fewshot_seed: shotSeed,
      ...(task.kind === "choices" ? {} : { generation_kwargs: { until: task.until, max_gen_toks: task.maxTokens } }),
      ...(first === undefined ? {} : { limit: first }),
      apply_chat_template: chatTemplate !== undefined,
      fewshot_as_multiturn: chatTemplate === "turns"
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
    value: numbers[key]!,
    error: numbers[stderrKey]
  }))
  const total = parts.reduce((sum, { n }) => sum + n, 0)
  const mean = parts.reduce((sum, { n, value }) => sum + n * value, 0) / total
  // A task of one question has no error of its own, and the group then has none.
  if (parts.some(({ error }) => error === undefined)) return { [key]: mean }
  const variance = parts.reduce((sum, { error, n }) => sum + (n - 1) * error! ** 2 * n, 0) / (total - parts.length)
  return { [key]: mean, [stderrKey]: Math.sqrt(variance / total) }
}

/** The tasks of a group with the group's own row. */
export const grouped = (name: string, keys: ReadonlyArray<string>, tasks: ReadonlyArray<Results>): Results => {
  const all = joined(tasks)
  const row = Object.assign({ alias: name }, ...keys.map((key) => pooled(all, key))) as Results["results"][string]
  return {
    ...all,
    results: { ...all.results, [name]: row },
    groups: { [name]: row },
    group_subtasks: { [name]: Object.keys(all.results) }
  }
}
