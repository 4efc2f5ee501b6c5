// Descriptions, choices and worked examples of the leaderboard's BBH tasks, from
// EleutherAI/lm-evaluation-harness@4e7e0d47f33b, lm_eval/tasks/leaderboard/bbh_mc (MIT).
import shots from "./bbhShots.json" with { type: "json" }

export type BbhName = keyof typeof shots

export interface BbhShots {
  readonly description: string
  readonly choices: ReadonlyArray<string>
  readonly samples: ReadonlyArray<{ readonly input: string; readonly target: string }>
}

export const bbhShots: Readonly<Record<BbhName, BbhShots>> = shots
export const bbhNames = Object.keys(shots) as ReadonlyArray<BbhName>
