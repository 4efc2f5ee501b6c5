// From logits to a token. The order of the rules is that of transformers: penalty, temperature, top-k, top-p, min-p.
// The draw goes through the tokens in id order, so it needs no sort and is the same on every machine.
import type { Logits } from "./Decoder.ts"
import type { Sampling } from "./Generation.ts"

/** The first of the largest. */
export const argmax = (row: Logits): number => {
  let best = 0
  for (let i = 1; i < row.length; i++) if (row[i]! > row[best]!) best = i
  return best
}

/** log(sum(exp(row))) in float64. */
const logSum = (row: Logits): number => {
  const top = row[argmax(row)]!
  let total = 0
  for (let i = 0; i < row.length; i++) total += Math.exp(row[i]! - top)
  return top + Math.log(total)
}

/** Log-probability of `token` under the logits as they are, in nats. */
export const logProbOf = (row: Logits, token: number): number => row[token]! - logSum(row)

const penalised = (row: Logits, seen: Iterable<number>, penalty: number): Float64Array => {
  const changed = Float64Array.from(row)
  for (const token of seen) changed[token] = row[token]! > 0 ? row[token]! / penalty : row[token]! * penalty
  return changed
}

/** The k-th largest value. */
const kthLargest = (values: Float64Array, k: number): number => values.toSorted()[values.length - k]!

/** Smallest probability that top-p keeps; tokens below (1 - p) / V hold less than 1 - p together, so they are not sorted. */
const nucleus = (probabilities: Float64Array, total: number, share: number): number => {
  const least = (1 - share) * total / probabilities.length
  const sorted = probabilities.filter((p) => p > least).toSorted().toReversed()
  let sum = 0
  for (const p of sorted) {
    sum += p
    if (sum >= share * total) return p
  }
  return 0
}

const sumOf = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0)

/**
 * The next token. `seen` are the tokens so far, prompt included, each once; `draw` gives uniform unsigned 32-bit integers
 * and is not called when greedy.
 */
export const choose = (row: Logits, sampling: Sampling, seen: Iterable<number>, draw: () => number): number => {
  const { minP, repetitionPenalty = 1, temperature, topK, topP } = sampling
  const logits = repetitionPenalty === 1 ? row : penalised(row, seen, repetitionPenalty)
  const best = argmax(logits)
  if (temperature === 0) return best
  const top = logits[best]!
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - top) / temperature))
  const drop = (least: number): void => {
    for (let i = 0; i < weights.length; i++) if (weights[i]! < least) weights[i] = 0
  }
  if (topK !== undefined && topK < weights.length) drop(kthLargest(weights, topK))
  if (topP !== undefined && topP < 1) drop(nucleus(weights, sumOf(weights), topP))
  // The likeliest token's weight is exp(0) = 1.
  if (minP !== undefined) drop(minP)
  // 53 bits, as a double holds.
  const uniform = ((draw() >>> 5) * 2 ** 26 + (draw() >>> 6)) / 2 ** 53
  const mark = uniform * sumOf(weights)
  let sum = 0
  let last = best
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue
    sum += weights[i]!
    last = i
    if (sum > mark) break
  }
  return last
}
