// Every benchmark task that ships, by lm-eval's name. A new one is a file, a line here, and its word in the language.
import { benchmark, type TaskName } from "@penchant/dsl/Benchmark"
import { arcChallenge } from "./arcChallenge.ts"
import { bbh } from "./bbh.ts"
import { gsm8k } from "./gsm8k.ts"
import { gsm8kCot } from "./gsm8kCot.ts"
import { hellaswag } from "./hellaswag.ts"
import { mathHard } from "./mathHard.ts"
import { mmlu } from "./mmlu.ts"
import { mmluPro } from "./mmluPro.ts"
import { musr } from "./musr.ts"
import type { Task } from "./Task.ts"
import { truthfulqa } from "./truthfulqa.ts"
import { winogrande } from "./winogrande.ts"

/** The task of each subset of a group. */
const each = <Subset extends string, Name extends string>(
  { subsets, taskOf }: { readonly subsets: ReadonlyArray<Subset>; readonly taskOf: (subset: Subset) => Name },
  task: (subset: Subset) => Task
): Record<Name, Task> => Object.fromEntries(subsets.map((subset) => [taskOf(subset), task(subset)])) as never

export const tasks: Record<TaskName, Task> = {
  leaderboard_mmlu_pro: mmluPro,
  ...each(benchmark.bbh, bbh),
  ...each(benchmark.musr, musr),
  ...each(benchmark.mathHard, mathHard),
  gsm8k,
  gsm8k_cot: gsm8kCot,
  arc_challenge: arcChallenge,
  hellaswag,
  winogrande,
  truthfulqa_mc2: truthfulqa,
  ...each(benchmark.mmlu, mmlu)
}

export const isTask = (name: string): name is TaskName => Object.hasOwn(tasks, name)
