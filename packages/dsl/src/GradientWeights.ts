// How hard an objective pulls on the chosen and on the rejected answer, at any pair of log-ratios: read off its gradient.
import type { SideInputs } from "./Evaluate.ts"
import { program } from "./Loss.ts"
import type { Objective } from "./Objective.ts"

/** Per-token means, in nats, one value per point. */
export interface Points {
  readonly chosenLogRatio: ArrayLike<number>
  readonly rejectedLogRatio: ArrayLike<number>
  /** Tokens per answer, 1 by default. They matter to objectives that sum log-ratios. */
  readonly chosenLength?: number
  readonly rejectedLength?: number
  /** Log-probability per token under the reference, -1 by default. It matters to objectives without a reference. */
  readonly chosenReference?: number
  readonly rejectedReference?: number
}

export interface GradientWeights {
  /** |d loss / d(mean log-ratio of the chosen answer)| per point. */
  readonly chosen: Float64Array
  readonly rejected: Float64Array
}

const side = (logRatios: ArrayLike<number>, length: number, reference: number): SideInputs => ({
  lengths: new Int32Array(logRatios.length).fill(length),
  policy: Float64Array.from(
    { length: logRatios.length * length },
    (_, t) => reference + logRatios[Math.floor(t / length)]!
  ),
  reference: new Float64Array(logRatios.length * length).fill(reference)
})

/** Moving a mean log-ratio moves every token alike, so the slope is the sum of the tokens' coefficients. */
const slopes = (coefficients: Float64Array | undefined, rows: number, length: number): Float64Array =>
  Float64Array.from({ length: rows }, (_, row) => {
    let sum = 0
    for (let t = row * length; t < (row + 1) * length; t++) sum += coefficients?.[t] ?? 0
    return Math.abs(sum)
  })

/** For objectives over a chosen and a rejected side that read no columns and do not couple the batch. */
export const gradientWeights = (
  objective: Objective,
  {
    chosenLength = 1,
    chosenLogRatio,
    chosenReference = -1,
    rejectedLength = 1,
    rejectedLogRatio,
    rejectedReference = -1
  }: Points
): GradientWeights => {
  const rows = chosenLogRatio.length
  const { coefficients } = program(objective).run({
    rows,
    sides: {
      chosen: side(chosenLogRatio, chosenLength, chosenReference),
      rejected: side(rejectedLogRatio, rejectedLength, rejectedReference)
    }
  })
  return {
    chosen: slopes(coefficients.chosen, rows, chosenLength),
    rejected: slopes(coefficients.rejected, rows, rejectedLength)
  }
}
