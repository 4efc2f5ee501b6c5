// Training written out, to compare the loop with: losses from their definitions, gradients by central differences, AdamW
// and clipping in their textbook form. It shares no code with the loop but the model.
import type { TokenGroups } from "../../src/compute/Batch.ts"
import type { ModelState } from "../../src/compute/Engine.ts"
import { bigram, logProbsOf } from "./bigram.ts"

/** Sums of log-probabilities per pair: [chosen, rejected], and lengths. */
export const sums = (data: TokenGroups, logProbs: Float64Array) => {
  let at = 0
  return data.ids.map((_, g) =>
    [0, 1].map((s) => {
      const length = data.branchLength[2 * g + s]!
      const total = logProbs.subarray(at, at += length).reduce((a, b) => a + b, 0)
      return { total, length, mean: total / length }
    })
  )
}

export const byHand = (
  lossOf: (model: ModelState, groups: ReadonlyArray<number>) => number,
  batches: ReadonlyArray<ReadonlyArray<number>>,
  { learningRate, maxGradNorm }: { readonly learningRate: (step: number) => number; readonly maxGradNorm: number }
) => {
  let model = bigram()
  const size = model.parameters.length
  const [m, v] = [new Float64Array(size), new Float64Array(size)]
  const lines = batches.map((groups, step) => {
    const at = (i: number, by: number): number => {
      const parameters = Float64Array.from(model.parameters)
      parameters[i]! += by
      return lossOf({ ...model, parameters }, groups)
    }
    const gradient = Float64Array.from({ length: size }, (_, i) => (at(i, 1e-5) - at(i, -1e-5)) / 2e-5)
    const norm = Math.hypot(...gradient)
    const factor = maxGradNorm === 0 ? 1 : Math.min(1, maxGradNorm / (norm + 1e-6))
    const loss = lossOf(model, groups)
    const parameters = Float64Array.from(model.parameters, (weight, i) => {
      const g = gradient[i]! * factor
      m[i] = 0.9 * m[i]! + 0.1 * g
      v[i] = 0.999 * v[i]! + 0.001 * g * g
      const [mean, variance] = [m[i]! / (1 - 0.9 ** (step + 1)), v[i]! / (1 - 0.999 ** (step + 1))]
      return weight - learningRate(step) * mean / (Math.sqrt(variance) + 1e-8)
    })
    model = { ...model, parameters }
    return { loss, norm }
  })
  return { lines, model }
}

const softplus = (x: number): number => Math.log1p(Math.exp(x))

/** Loss of a batch under each objective, from its definition. */
export const definitions = (data: TokenGroups, start: ModelState = bigram()) => {
  const reference = sums(data, logProbsOf(start, data))
  const mean = (groups: ReadonlyArray<number>, of: (g: number) => number) =>
    groups.reduce((total, g) => total + of(g), 0) / groups.length
  const delta = (policy: ReturnType<typeof sums>, g: number) =>
    policy[g]![0]!.total - reference[g]![0]!.total - policy[g]![1]!.total + reference[g]![1]!.total
  return {
    dpo: (model: ModelState, groups: ReadonlyArray<number>) => {
      const policy = sums(data, logProbsOf(model, data))
      return mean(groups, (g) => softplus(-0.5 * delta(policy, g)))
    },
    lsif: (model: ModelState, groups: ReadonlyArray<number>) => {
      const policy = sums(data, logProbsOf(model, data))
      const ratio = (g: number, s: number) => Math.exp(policy[g]![s]!.mean - reference[g]![s]!.mean)
      return mean(groups, (g) => ratio(g, 1) ** 2 / 2 - ratio(g, 0))
    },
    simpo: (model: ModelState, groups: ReadonlyArray<number>) => {
      const policy = sums(data, logProbsOf(model, data))
      return mean(groups, (g) => softplus(0.5 - 2 * (policy[g]![0]!.mean - policy[g]![1]!.mean)))
    },
    nllToken: (model: ModelState, groups: ReadonlyArray<number>) => {
      const policy = sums(data, logProbsOf(model, data))
      const tokens = groups.reduce((total, g) => total + policy[g]![0]!.length, 0)
      return -groups.reduce((total, g) => total + policy[g]![0]!.total, 0) / tokens
    },
    nllSequence: (model: ModelState, groups: ReadonlyArray<number>) => {
      const policy = sums(data, logProbsOf(model, data))
      return mean(groups, (g) => -policy[g]![0]!.mean)
    },
    coupled: (model: ModelState, groups: ReadonlyArray<number>) => {
      const policy = sums(data, logProbsOf(model, data))
      const centre = mean(groups, (g) => delta(policy, g))
      return mean(groups, (g) => (delta(policy, g) - 1 - 0.5 * centre) ** 2)
    },
    weighted: (model: ModelState, groups: ReadonlyArray<number>) => {
      const policy = sums(data, logProbsOf(model, data))
      return mean(groups, (g) => -data.columns["weight"]![g]! * policy[g]![0]!.total)
    }
  }
}
