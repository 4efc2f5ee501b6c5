// What a person should look at while a run goes on: read off the metrics so far, said once each, never stopping the run.
import type { StepMetrics } from "./StepMetrics.ts"

/** Steps that a judgement averages over: one batch is too noisy. */
const window = 5
/** Nats per token below the start at which the chosen answers count as collapsed: e times less likely at every token. */
const collapse = -1
/** Share of pairs without pull from which most of the data no longer trains. */
const mostlySaturated = 0.5

export type Concern = "collapse" | "saturation"

const mean = (lines: ReadonlyArray<StepMetrics>, of: (line: StepMetrics) => number | undefined): number =>
  lines.reduce((sum, line) => sum + (of(line) ?? 0), 0) / lines.length

const changeOfChosen = (lines: ReadonlyArray<StepMetrics>): number => {
  const last = lines.slice(-window)
  if (last[0]?.["displacement/chosen"] !== undefined) return mean(last, (line) => line["displacement/chosen"])
  const perToken = (line: StepMetrics): number | undefined => line["logps_per_token/chosen"]
  return mean(last, perToken) - mean(lines.slice(0, window), perToken)
}

const percent = (share: number): string => `${Math.round(100 * share)} %`

const concerns: Record<Concern, (lines: ReadonlyArray<StepMetrics>) => string | undefined> = {
  collapse: (lines) => {
    const change = changeOfChosen(lines)
    return change < collapse
      ? `the chosen answers have become unlikely: ${
        change.toFixed(2)
      } nats per token against the start, over the last ${window} steps`
      : undefined
  },
  saturation: (lines) => {
    const share = mean(lines.slice(-window), (line) => line.saturated_fraction)
    return share > mostlySaturated
      ? `${percent(share)} of the pairs no longer move the weights (coefficients below 2 % of those at the start)`
      : undefined
  }
}

/** New warnings after the last line of `lines`, each with the name to remember it by. */
export const newConcerns = (
  lines: ReadonlyArray<StepMetrics>,
  said: ReadonlyArray<string>
): ReadonlyArray<{ readonly concern: Concern; readonly message: string }> => {
  if (lines.length < window) return []
  return (Object.keys(concerns) as Array<Concern>).flatMap((concern) => {
    const message = said.includes(concern) ? undefined : concerns[concern](lines)
    return message === undefined ? [] : [{ concern, message: `step ${lines.at(-1)!.step}: ${message}` }]
  })
}
