// Report data with the shape of the quickstart and of the study over learning rates. The ends of the curves are the
// numbers measured beforehand in plain PyTorch (dil-bce, which was not measured, lies between its siblings); what lies between start and
// end is drawn by hand, so nothing here is a result.
import { dil, dpo, simpo } from "@penchant/objectives"
import { gradientShare, objectiveData } from "../../src/report/objective.ts"
import type { ReportData, Run } from "../../src/report/ReportData.ts"

/** A fixed sequence in [-1, 1): the batches' own difficulty, shared by every objective. */
const noise = (i: number): number => {
  const x = Math.sin(i * 12.9898 + 4.1414) * 43758.5453
  return 2 * (x - Math.floor(x)) - 1
}
const smooth = (t: number): number => t * t * (3 - 2 * t)

interface Outcome {
  readonly chosen: number
  readonly margin: number
  readonly accuracy: readonly [number, number, number]
  readonly change: readonly [number, number, number]
  readonly matched: number
}

const objectives = [
  dil.lsif(),
  dil.bce(),
  dil.ukl(),
  dpo({ beta: 0.1 }),
  simpo({ beta: 2, gamma: 0.5 }),
  dpo({ ratio: "mean" })
]
const outcomes: ReadonlyArray<Outcome> = [
  { chosen: -0.47, margin: 0.03, accuracy: [0.578, 0.492, 0.664], change: [0.008, -0.023, 0.039], matched: 0.524 },
  { chosen: -0.44, margin: 0.035, accuracy: [0.578, 0.492, 0.664], change: [0.008, -0.031, 0.047], matched: 0.548 },
  { chosen: -0.42, margin: 0.04, accuracy: [0.586, 0.5, 0.672], change: [0.016, -0.016, 0.047], matched: 0.548 },
  { chosen: -0.77, margin: -0.02, accuracy: [0.563, 0.477, 0.648], change: [-0.008, -0.055, 0.039], matched: 0.5 },
  { chosen: -1.87, margin: -0.02, accuracy: [0.547, 0.461, 0.633], change: [-0.023, -0.094, 0.047], matched: 0.524 },
  { chosen: -1.64, margin: 0.13, accuracy: [0.633, 0.547, 0.719], change: [0.063, 0.008, 0.117], matched: 0.571 }
]
const start = { chosenLogProb: -2.214, rejectedLogProb: -2.187 }
// adding 0 turns -0, which JSON does not keep, into 0
const at = (base: number, change: number): number => Math.round((base + change) * 1e4) / 1e4 + 0

const metricsOf = (
  { chosen, margin }: Pick<Outcome, "chosen" | "margin">,
  steps: number,
  needsReference: boolean,
  share: number,
  seed = 0
): Run["metrics"] =>
  Array.from({ length: steps }, (_, i) => {
    const t = smooth(i / steps)
    const c = at(0, chosen * t)
    const r = at(0, (chosen - margin) * t)
    const ratio = (c + r) / 2
    const shared = 0.11 * noise(i + 100 * seed)
    return {
      step: i + 1,
      epoch: (i + 1) / 24,
      loss: at(0.69, -0.03 * t + 0.02 * noise(i + 7)),
      learning_rate: i === 0 ? 0 : 2e-3 * Math.min(1, i / 5),
      grad_norm: at(1.4, 0.5 * noise(i + 31)),
      clipped_fraction: 0.6,
      num_tokens: 2048 * (i + 1),
      "logps/chosen": at(64 * start.chosenLogProb, 64 * (c + shared)),
      "logps/rejected": at(60 * start.rejectedLogProb, 60 * (r + shared)),
      "logps_per_token/chosen": at(start.chosenLogProb, c + shared + 0.03 * noise(i + 900)),
      "logps_per_token/rejected": at(start.rejectedLogProb, r + shared + 0.03 * noise(i + 500)),
      ...(needsReference
        ? {
          "displacement/chosen": c,
          "displacement/rejected": r,
          "gradient_share/chosen": share === 0.5 ? 0.5 + 0.02 * noise(i) : 1 / (1 + Math.exp(ratio)) + 0.01 * noise(i)
        }
        : {}),
      saturated_fraction: 0
    }
  })

export const snapshots = [12, 24, 36, 48]

const runs: ReadonlyArray<Run> = objectives.map((objective, i) => {
  const outcome = outcomes[i]!
  const { accuracy, change, chosen, margin, matched } = outcome
  const rejected = chosen - margin
  const along = (end: number): ReadonlyArray<number> => snapshots.map((step) => at(0, end * smooth(step / 48)))
  // margins bend: they grow before the answers fall
  const margins = snapshots.map((step) =>
    at(0, margin * Math.sqrt(step / 48) + 0.012 * noise(step + i) * (1 - step / 48))
  )
  const data = objectiveData(objective)
  return {
    label: `objectives/${data.name}`,
    objective: data,
    point: { objective: data.name },
    recipe: {
      learningRate: 0.002,
      epochs: 2,
      batchSize: 16,
      schedule: "constant",
      warmupRatio: 0.1,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay: 0,
      maxGradNorm: 1,
      seed: 0,
      order: "shuffled",
      snapshots: 4
    },
    metrics: metricsOf(outcome, 48, objective.name !== "simpo", i < 3 ? 0 : 0.5),
    curve: {
      steps: snapshots,
      chosenLogProb: along(chosen).map((value) => at(start.chosenLogProb, value)),
      chosenChange: along(chosen),
      rejectedLogProb: along(rejected).map((value) => at(start.rejectedLogProb, value)),
      rejectedChange: along(rejected),
      margin: margins.map((value) => at(start.chosenLogProb - start.rejectedLogProb, value)),
      marginChange: margins
    },
    scores: {
      preferenceAccuracy: accuracy[0],
      preferenceAccuracyLow: accuracy[1],
      preferenceAccuracyHigh: accuracy[2],
      preferenceAccuracyMean: at(accuracy[0], -0.07),
      shorterWins: 0.59375,
      lengthMatchedAccuracy: matched,
      lengthMatchedPairs: 42,
      accuracyChange: change[0],
      accuracyChangeLow: change[1],
      accuracyChangeHigh: change[2],
      chosenLogProb: at(start.chosenLogProb, chosen),
      chosenChange: chosen,
      rejectedLogProb: at(start.rejectedLogProb, rejected),
      rejectedChange: at(0, rejected),
      margin: at(start.chosenLogProb - start.rejectedLogProb, margin),
      marginChange: margin
    },
    gradientShare: gradientShare(objective)!
  }
})

const steps: ReportData["steps"] = [
  { label: "normalise", kind: "normalise", verdict: "hit", seconds: 0, digest: "9a0f2c61d7be4b18" },
  { label: "tokenise preference", kind: "tokenise", verdict: "run", seconds: 0.8, digest: "04be11a96e1d0c77" },
  { label: "sft", kind: "train", verdict: "run", seconds: 9.4, digest: "c2d19ab0ffde8812" },
  ...runs.map(({ label }, i) => ({
    label: `train ${label}`,
    kind: "train",
    verdict: "run",
    seconds: 8.1 + i / 10,
    digest: `${i}7f3a5c90b2d4e6f8`
  }))
]

export const quickstart: ReportData = {
  title: "Six objectives, one start",
  command: "npx -y pnpm@12 quickstart",
  model: { name: "stories260K", parameters: 260032 },
  data: [{
    source: "data/hh-rlhf/harmless-base/test.jsonl.gz",
    licence: "MIT",
    read: 2312,
    dropped: {
      "prompts that differ": ["row 44", "row 319", "row 1020", "row 1733", "row 2101"],
      "empty chosen answer": ["row 87", "row 512", "row 1544", "row 1999"]
    },
    parts: [
      { name: "sft", pairs: 1024, tokens: 81234, truncated: { "prompts cut on the left": 31 } },
      { name: "preference", pairs: 384, tokens: 30511, truncated: { "prompts cut on the left": 12 } },
      {
        name: "test",
        pairs: 128,
        tokens: 10102,
        truncated: { "prompts cut on the left": 5 },
        dropped: { "too long": ["row 701"] }
      }
    ],
    notes: ["Split by the first human turn, so that no conversation is on two sides.", "At most 384 tokens."]
  }],
  start: {
    label: "sft",
    scores: {
      ...start,
      margin: at(start.chosenLogProb, -start.rejectedLogProb),
      preferenceAccuracy: 0.5703,
      preferenceAccuracyLow: 0.484,
      preferenceAccuracyHigh: 0.656,
      preferenceAccuracyMean: 0.484,
      shorterWins: 0.59375,
      lengthMatchedAccuracy: 0.5238,
      lengthMatchedPairs: 42
    }
  },
  runs,
  heldOut: 128,
  steps,
  environment: { engine: "onnx 1.30.0, float32", node: "v24.21.0", cpu: "2 cores of AMD EPYC 7B13" }
}

const rates = [1e-4, 5e-4, 2e-3]
const scale = [0.06, 0.35, 1]
const studied = [0, 1, 2, 3]

/** 36 runs: four objectives, three rates, three orders of the same pairs; no snapshots were kept. */
export const learningRates: ReportData = {
  ...quickstart,
  title: "When objectives coincide",
  command: "pnpm penchant run pipelines/learning-rates.ts",
  steps: [],
  runs: studied.flatMap((i) =>
    rates.flatMap((learningRate, k) =>
      [0, 1, 2].map((seed): Run => {
        const jitter = 1 + 0.06 * noise(17 * i + 3 * k + seed)
        // at the smallest rate the measured changes are -0.06 to -0.08 whatever the objective
        const full = k === 0 ? -0.07 - 0.006 * i : outcomes[i]!.chosen * scale[k]!
        const outcome = { chosen: full * jitter, margin: outcomes[i]!.margin * scale[k]! * jitter }
        const { objective } = runs[i]!
        return {
          label: `learning-rates/${objective.name} learningRate=${learningRate} seed=${seed}`,
          objective,
          point: { objective: objective.name, learningRate, seed },
          recipe: Object.assign({}, runs[i]!.recipe, { learningRate, seed, epochs: 1, snapshots: 0 }),
          metrics: metricsOf(outcome, 24, true, i < 3 ? 0 : 0.5, seed),
          scores: {
            chosenLogProb: at(start.chosenLogProb, outcome.chosen),
            chosenChange: at(0, outcome.chosen),
            rejectedLogProb: at(start.rejectedLogProb, outcome.chosen - outcome.margin),
            rejectedChange: at(0, outcome.chosen - outcome.margin),
            margin: at(start.chosenLogProb - start.rejectedLogProb, outcome.margin),
            marginChange: at(0, outcome.margin)
          },
          gradientShare: runs[i]!.gradientShare!
        }
      })
    )
  ),
  comparisons: [{
    metric: "chosenChange",
    rows: studied.map((i) => {
      const [mean, low, high] = [outcomes[i]!.chosen / 2, outcomes[i]!.chosen / 1.5, outcomes[i]!.chosen / 3]
      const row = { label: runs[i]!.objective.name, n: 9, mean, low, high }
      const difference = { mean: 0.02 * (i - 2), low: 0.02 * (i - 2) - 0.01, high: 0.02 * (i - 2) + 0.01 }
      return i === 0 ? row : Object.assign(row, { difference })
    }),
    differsIn: ["learningRate"],
    notes: ["Intervals cover the order of the pairs, not the draw of the data"]
  }]
}
