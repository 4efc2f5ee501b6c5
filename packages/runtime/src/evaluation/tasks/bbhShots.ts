// Descriptions, choices and worked examples of the leaderboard's BBH tasks, from
// EleutherAI/lm-evaluation-harness@4e7e0d47f33b, lm_eval/tasks/leaderboard/bbh_mc (MIT).
import type { bbhSubsets } from "@penchant/dsl/BenchmarkRows"
import shots from "./bbhShots.json" with { type: "json" }

export interface BbhShots {
  readonly description: string
  readonly choices: ReadonlyArray<string>
  readonly samples: ReadonlyArray<{ readonly input: string; readonly target: string }>
}

export const bbhShots: Readonly<Record<typeof bbhSubsets[number], BbhShots>> = shots
