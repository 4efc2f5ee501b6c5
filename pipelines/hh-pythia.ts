// Pythia on Anthropic HH: supervised fine-tuning on the chosen answers, then the DIL family beside DPO and SimPO, three orders
// of the data each. `penchant lock` pins the data and the weights; `penchant run ... --lock` does both.
import {
  chosenLogProb,
  compare,
  Dataset,
  evaluate,
  grid,
  Model,
  normalise,
  preferenceAccuracy,
  rejectedLogProb,
  study,
  tokenise,
  train
} from "@penchant/dsl"
import { dil, dpo, sft, simpo } from "@penchant/objectives"

const harmless = (split: "train" | "test") =>
  normalise.hh(Dataset.hub("Anthropic/hh-rlhf", { dir: "harmless-base", split }))

const base = Model.hub("EleutherAI/pythia-160m")
const fit = { maxLength: 512, truncation: "leftOfPrompt" } as const
const data = tokenise(harmless("train"), base, fit)
const test = tokenise(harmless("test"), base, fit)

const start = sft({ model: base, data }, { learningRate: 1e-5, batchSize: 64 })
const metrics = [
  preferenceAccuracy(test, { against: start }),
  chosenLogProb(test, { against: start }),
  rejectedLogProb(test, { against: start })
] as const

/** The row that every other is read against. */
export const before = evaluate(start, metrics)

const objectives = study(
  "objectives",
  grid({
    objective: [dil.lsif(), dil.bce(), dil.ukl(), dpo({ beta: 0.1 }), simpo({ beta: 2, gamma: 0.5 })],
    seed: [0, 1, 2]
  }),
  ({ objective, seed }) =>
    evaluate(train(objective, { model: start, data }, { learningRate: 1e-6, batchSize: 64, seed }), metrics)
)
export default objectives

export const accuracy = compare(objectives, { metric: "preferenceAccuracy", rows: "objective", replicateOver: "seed" })
