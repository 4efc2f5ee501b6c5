// The numbers of one optimiser step, from the log-probabilities that the engine returned and the loss's float64 values.
// Pairs are summed in the order of the step, so equal runs print equal digits.
import type { StepMetrics } from "./StepMetrics.ts"
import type { Scored } from "./tokens.ts"

/** A micro-batch after its loss: `values` [groups]; `coefficients` [N] in batch order, scaled; `pull`, `neutral` see `pullOf`. */
export interface Measured {
  readonly scored: Scored
  readonly values: Float64Array
  readonly coefficients: Float64Array
  /** [groups] */
  readonly pull: Float64Array
  /** [groups] the pull that the same pairs have where policy and reference agree. */
  readonly neutral: Float64Array
  readonly metrics: Readonly<Record<string, Float64Array>>
}

/** A pair below this share of its neutral pull no longer moves the weights: for DPO, sigmoid(beta delta) > 0.99. */
const saturation = 0.02

/** [groups] sum of |coefficient| over the tokens of each group. */
export const pullOf = ({ groups, lengths, sides }: Scored, coefficients: Float64Array): Float64Array => {
  const pull = new Float64Array(groups)
  let n = 0
  for (let g = 0; g < groups; g++) {
    let end = n
    for (let s = 0; s < sides.length; s++) end += lengths[g * sides.length + s]!
    for (; n < end; n++) pull[g]! += Math.abs(coefficients[n]!)
  }
  return pull
}

interface SideSums {
  logp: number
  perToken: number
  ratio: number
  ratioPerToken: number
  pull: number
}

const sum = (values: Float64Array): number => values.reduce((total, value) => total + value, 0)

/** What `loss` sums to before scaling, completion tokens, and every metric that does not depend on the update. */
export const summarise = (parts: ReadonlyArray<Measured>, beta: number): {
  readonly value: number
  readonly tokens: number
  readonly metrics: Pick<StepMetrics, "saturated_fraction"> & Partial<StepMetrics>
} => {
  const { reference, sides } = parts[0]!.scored
  const sums = sides.map((): SideSums => ({ logp: 0, perToken: 0, ratio: 0, ratioPerToken: 0, pull: 0 }))
  const chosen = sides.indexOf("chosen")
  const rejected = sides.indexOf("rejected")
  const own: Record<string, number> = {}
  let [pairs, tokens, value, wins, saturated] = [0, 0, 0, 0, 0]
  const ratios = new Float64Array(sides.length)
  for (const { coefficients, metrics, neutral, pull, scored, values } of parts) {
    value += sum(values)
    for (const [name, column] of Object.entries(metrics)) own[name] = (own[name] ?? 0) + sum(column)
    let n = 0
    for (let g = 0; g < scored.groups; g++) {
      if (pull[g]! < saturation * neutral[g]!) saturated += 1
      for (let s = 0; s < sides.length; s++) {
        const length = scored.lengths[g * sides.length + s]!
        let [logp, ref, weight] = [0, 0, 0]
        for (const end = n + length; n < end; n++) {
          logp += scored.policy[n]!
          weight += Math.abs(coefficients[n]!)
          if (scored.reference !== undefined) ref += scored.reference[n]!
        }
        const into = sums[s]!
        into.logp += logp
        into.perToken += logp / length
        into.ratio += logp - ref
        into.ratioPerToken += (logp - ref) / length
        into.pull += weight
        ratios[s] = logp - ref
      }
      if (chosen >= 0 && rejected >= 0) wins += 0.5 * (1 + Math.sign(beta * (ratios[chosen]! - ratios[rejected]!)))
    }
    pairs += scored.groups
    tokens += scored.policy.length
  }
  const metrics: Record<string, number> = {}
  const total = sums.reduce((all, { pull }) => all + pull, 0)
  sides.forEach((side, s) => {
    if (side === "answer") return
    const { logp, perToken, ratio, ratioPerToken } = sums[s]!
    metrics[`logps/${side}`] = logp / pairs
    metrics[`logps_per_token/${side}`] = perToken / pairs
    if (reference === undefined) return
    metrics[`rewards/${side}`] = beta * ratio / pairs
    metrics[`displacement/${side}`] = ratioPerToken / pairs
  })
  if (chosen >= 0 && rejected >= 0) {
    if (total > 0) metrics["gradient_share/chosen"] = sums[chosen]!.pull / total
    if (reference !== undefined) {
      metrics["rewards/margins"] = beta * (sums[chosen]!.ratio - sums[rejected]!.ratio) / pairs
      metrics["rewards/accuracies"] = wins / pairs
    }
  }
  const named = Object.entries(own).map(([name, column]) => [name, column / pairs] as const)
  return {
    value,
    tokens,
    metrics: {
      ...metrics,
      saturated_fraction: saturated / pairs,
      ...(named.length === 0 ? {} : { objective: Object.fromEntries(named) })
    }
  }
}
