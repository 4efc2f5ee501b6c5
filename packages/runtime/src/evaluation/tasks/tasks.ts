// Every benchmark task that ships, by lm-eval's name. A new task is one file and one line here.
import { bbh } from "./bbh.ts"
import { bbhNames } from "./bbhShots.ts"
import { gsm8k } from "./gsm8k.ts"
import { mmluPro } from "./mmluPro.ts"
import { musr, musrDomains } from "./musr.ts"
import type { Task } from "./Task.ts"

export const tasks: ReadonlyMap<string, Task> = new Map(
  [...bbhNames.map(bbh), ...musrDomains.map(musr), mmluPro, gsm8k].map((task: Task) => [task.name, task])
)
