// Mistral 7B, fine-tuned on UltraChat, aligned on UltraFeedback: the DIL family beside DPO and SimPO, on held-out preferences.
// `penchant lock` pins the data and the weights; a 7B model wants a GPU: `penchant run ... --lock --engine torch`.
import {
  chosenLogProb,
  Dataset,
  evaluate,
  grid,
  margin,
  Model,
  normalise,
  preferenceAccuracy,
  rejectedLogProb,
  study,
  tokenise,
  train
} from "@penchant/dsl"
import { dil, dpo, simpo } from "@penchant/objectives"

const feedback = (split: "train_prefs" | "test_prefs") =>
  normalise.ultrafeedback(Dataset.hub("HuggingFaceH4/ultrafeedback_binarized", { split }))

const start = Model.hub("alignment-handbook/zephyr-7b-sft-full")
const fit = { maxLength: 2048, truncation: "leftOfPrompt" } as const
const data = tokenise(feedback("train_prefs"), start, fit)
const test = tokenise(feedback("test_prefs"), start, fit)

const metrics = [
  preferenceAccuracy(test, { against: start }),
  chosenLogProb(test, { against: start }),
  rejectedLogProb(test, { against: start }),
  margin(test, { against: start })
] as const

/** The row that every other is read against. */
export const before = evaluate(start, metrics)

export default study(
  "objectives",
  grid({ objective: [dil.lsif(), dil.bce(), dil.ukl(), dpo({ beta: 0.01 }), simpo({ beta: 2, gamma: 1.6 })] }),
  ({ objective }) =>
    evaluate(
      train(objective, { model: start, data }, { learningRate: 5e-7, batchSize: 128, schedule: "cosine" }),
      metrics
    )
)
