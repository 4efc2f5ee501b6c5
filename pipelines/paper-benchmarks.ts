// What preference training does to reasoning. `penchant plan` shows the paper's table; `--only reduced` runs a small form of it.
import {
  benchmark,
  Dataset,
  evaluate,
  grid,
  HhRow,
  Model,
  normalise,
  parts,
  study,
  tokenise,
  train
} from "@penchant/dsl"
import { dil, dpo, sft, simpo } from "@penchant/objectives"

const { arcChallenge, bbh, gsm8k, mathHard, mmluPro, musr } = benchmark
const axes = grid({
  objective: [
    dpo({ beta: 0.1 }),
    dpo({ beta: 2, ratio: "mean" }),
    simpo({ beta: 2, gamma: 0.5 }),
    dil.lsif(),
    dil.bce(),
    dil.ukl()
  ]
})

// The paper's: a 7B model, all questions.
const large = Model.hub("HuggingFaceH4/mistral-7b-sft-beta")
const chats = normalise.ultrafeedback(Dataset.hub("HuggingFaceH4/ultrafeedback_binarized", { split: "train_prefs" }))
const preferences = tokenise(chats, large, { maxLength: 2048 })
const questions = [mmluPro.hub(), bbh.hub(), musr.hub(), mathHard.hub(), gsm8k.hub(), arcChallenge.hub()] as const
export const paperStart = evaluate(large, questions)
export const paper = study(
  "paper",
  axes,
  ({ objective }) =>
    evaluate(train(objective, { model: large, data: preferences }, { learningRate: 5e-7, batchSize: 128 }), questions)
)

// The reduced form: the shipped model and data, few questions and short answers. MATH and ARC have no data that may be shipped:
// theirs are hand-written rows in the same schemas.
const small = Model.dir("data/models/stories260K")
const pairs = normalise.hh(Dataset.file("data/hh-rlhf/harmless-base/test.jsonl.gz", HhRow))
const part = parts(pairs, { preference: 384, sft: 1024, rest: "rest" })
const fit = { maxLength: 384, truncation: "leftOfPrompt" } as const
const start = sft({ model: small, data: tokenise(part.sft, small, fit) }, { learningRate: 2e-3, batchSize: 32 })
const data = tokenise(part.preference, small, fit)
const at = "data/benchmarks"
const pro = Dataset.file(`${at}/mmlu-pro/test.jsonl`, mmluPro.row)
const stories = (domain: string) => Dataset.file(`${at}/musr/${domain}.jsonl`, musr.row)
const hard = (name: string) => Dataset.file(`${at}/bbh/${name}.jsonl`, bbh.row)
const math = (name: string) => Dataset.file(`${at}/handwritten/math-${name}.jsonl`, mathHard.row)
const arc = (split: string) => Dataset.file(`${at}/handwritten/arc-${split}.jsonl`, arcChallenge.row)
const few = [
  mmluPro(pro, { shotData: pro, first: 20 }),
  bbh({ boolean_expressions: hard("boolean_expressions"), snarks: hard("snarks") }, { first: 20 }),
  musr(musr.data(stories), { first: 5 }),
  mathHard({ algebra: math("algebra"), num_theory: math("number_theory") }, { handWritten: true, maxTokens: 48 }),
  gsm8k(Dataset.file(`${at}/gsm8k/test.jsonl`, gsm8k.row), {
    shotData: Dataset.file(`${at}/gsm8k/train.jsonl`, gsm8k.row),
    first: 4,
    maxTokens: 96
  }),
  arcChallenge(arc("test"), { handWritten: true, shotData: arc("train"), shots: 3 })
] as const
export const reducedStart = evaluate(start, few)
export const reduced = study(
  "reduced",
  axes,
  ({ objective }) =>
    evaluate(train(objective, { model: start, data }, { learningRate: 2e-3, schedule: "constant", batchSize: 16 }), few)
)
