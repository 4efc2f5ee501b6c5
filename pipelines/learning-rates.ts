// At small learning rates all objectives coincide: three rates, three orders of the same pairs, four objectives.
import {
  chosenLogProb,
  compare,
  Dataset,
  evaluate,
  grid,
  HhRow,
  margin,
  Model,
  normalise,
  parts,
  rejectedLogProb,
  study,
  tokenise,
  train
} from "@penchant/dsl"
import { dil, dpo, sft } from "@penchant/objectives"

const pairs = normalise.hh(Dataset.file("data/hh-rlhf/harmless-base/test.jsonl.gz", HhRow))
const part = parts(pairs, { test: 128, preference: 384, sft: 1024 })
const base = Model.dir("data/models/stories260K")
const fit = { maxLength: 384, truncation: "leftOfPrompt" } as const
const data = tokenise(part.preference, base, fit)
const test = tokenise(part.test, base, fit)
const start = sft({ model: base, data: tokenise(part.sft, base, fit) }, { learningRate: 2e-3, batchSize: 32 })

const metrics = [
  chosenLogProb(test, { against: start }),
  rejectedLogProb(test, { against: start }),
  margin(test, { against: start })
] as const

const rates = study(
  "learning-rates",
  grid({ objective: [dil.lsif(), dil.bce(), dil.ukl(), dpo()], learningRate: [1e-4, 5e-4, 2e-3], seed: [0, 1, 2] }),
  ({ objective, learningRate, seed }) =>
    evaluate(train(objective, { model: start, data }, { learningRate, schedule: "constant", seed }), metrics)
)
export default rates

export const displacement = compare(rates, { metric: "chosenChange", rows: "objective", replicateOver: "seed" })
