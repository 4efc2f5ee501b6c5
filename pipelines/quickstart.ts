// Six objectives from one start, on real preference pairs, in about a minute on a laptop's CPU.
import {
  chosenLogProb,
  Dataset,
  evaluate,
  grid,
  HhRow,
  margin,
  Model,
  normalise,
  parts,
  preferenceAccuracy,
  rejectedLogProb,
  study,
  tokenise,
  train,
  trajectory
} from "@penchant/dsl"
import { dil, dpo, sft, simpo } from "@penchant/objectives"

const pairs = normalise.hh(Dataset.file("data/hh-rlhf/harmless-base/test.jsonl.gz", HhRow))
const part = parts(pairs, { test: 128, preference: 384, sft: 1024 })
const base = Model.dir("data/models/stories260K")
const fit = { maxLength: 384, truncation: "leftOfPrompt" } as const
const data = tokenise(part.preference, base, fit)
const test = tokenise(part.test, base, fit)

const start = sft({ model: base, data: tokenise(part.sft, base, fit) }, { learningRate: 2e-3, batchSize: 32 })

const objectives = [
  dil.lsif(),
  dil.bce(),
  dil.ukl(),
  dpo({ beta: 0.1 }),
  simpo({ beta: 2, gamma: 0.5 }),
  dpo({ beta: 2, ratio: "mean" })
]
const metrics = [
  preferenceAccuracy(test, { against: start }),
  chosenLogProb(test, { against: start }),
  rejectedLogProb(test, { against: start }),
  margin(test, { against: start })
] as const
const recipe = { learningRate: 2e-3, schedule: "constant", batchSize: 16, snapshots: 3 } as const

/** The row that every other is read against. */
export const before = evaluate(start, metrics)

export const curves = study(
  "curves",
  grid({ objective: objectives }),
  ({ objective }) => trajectory(train(objective, { model: start, data }, recipe), metrics)
)

export default study(
  "objectives",
  grid({ objective: objectives }),
  ({ objective }) => evaluate(train(objective, { model: start, data }, recipe), metrics)
)
