// Every benchmark task that ships, by lm-eval's name. A new one is a file, a line here, and its word in the language.
import type { TaskName } from "@penchant/dsl/Benchmark"
import { bbhSubsets, musrSubsets } from "@penchant/dsl/BenchmarkRows"
import { bbh } from "./bbh.ts"
import { gsm8k } from "./gsm8k.ts"
import { mmluPro } from "./mmluPro.ts"
import { musr } from "./musr.ts"
import type { Task } from "./Task.ts"

/** One task for each subset, under the group's name and its own. */
const each = <Group extends string, Subset extends string>(
  group: Group,
  subsets: ReadonlyArray<Subset>,
  task: (subset: Subset) => Task
): { readonly [K in `${Group}_${Subset}`]: Task } =>
  Object.fromEntries(subsets.map((subset) => [`${group}_${subset}`, task(subset)])) as never

export const tasks: Record<TaskName, Task> = {
  leaderboard_mmlu_pro: mmluPro,
  ...each("leaderboard_bbh", bbhSubsets, bbh),
  ...each("leaderboard_musr", musrSubsets, musr),
  gsm8k
}

export const isTask = (name: string): name is TaskName => Object.hasOwn(tasks, name)
