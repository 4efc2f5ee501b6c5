// Generation on the reference engine: everything so far is computed again for each token. The oracle of caches.
import type { Decoder, Logits } from "../../generation/Decoder.ts"
import { type Batch, pack } from "../Batch.ts"

/** `logitsOf` gives [M, vocabulary]. */
export const recomputing = (vocabulary: number, logitsOf: (batch: Batch) => Logits): Decoder => {
  let prompts: ReadonlyArray<Int32Array> = []
  let branches = 1
  /** Per group and branch, what was fed so far. */
  let fed: ReadonlyArray<ReadonlyArray<ReadonlyArray<number>>> = []

  /** Each branch ends in a token that is not fed, since only what predicts it is wanted. */
  const batch = (): Batch => {
    const tokens = prompts.flatMap((prompt, g) =>
      Array.from(prompt).concat(...fed[g]!.map((branch) => branch.concat(0)))
    )
    const lengths = prompts.map((prompt, g) => prompt.length + fed[g]!.reduce((sum, { length }) => sum + length + 1, 0))
    return pack({
      tokens: Int32Array.from(tokens),
      offsets: Int32Array.from([0, ...lengths.map((_, g) => lengths.slice(0, g + 1).reduce((a, b) => a + b, 0))]),
      promptLength: Int32Array.from(prompts, ({ length }) => length),
      branchLength: Int32Array.from(fed.flatMap((group) => group.map(({ length }) => length + 1))),
      sides: Array.from({ length: branches }, (_, b) => String(b)),
      ids: prompts.map((_, g) => String(g)),
      columns: {}
    }, [...prompts.keys()])
  }
  /** Of each branch the row that predicts its last token; the prompt's serves all when nothing was fed. */
  const lastRows = (logits: Logits, { lengths, predictor }: Batch, perGroup: number): Logits => {
    const rows = new Float64Array(prompts.length * perGroup * vocabulary)
    let n = 0
    lengths.forEach((length, i) => {
      n += length
      const to = Math.floor(i / branches) * perGroup + Math.min(i % branches, perGroup - 1)
      const from = predictor[n - 1]! * vocabulary
      rows.set(logits.subarray(from, from + vocabulary), to * vocabulary)
    })
    return rows
  }
  const logits = (perGroup: number): Logits => {
    const whole = batch()
    return lastRows(logitsOf(whole), whole, perGroup)
  }
  return {
    vocabulary,
    prefill: async (given, count) => {
      prompts = given
      branches = count
      fed = given.map(() => Array.from({ length: count }, () => []))
      return logits(1)
    },
    step: async (tokens) => {
      fed = fed.map((group, g) => group.map((branch, b) => [...branch, tokens[g * branches + b]!]))
      return logits(branches)
    },
    keep: (groups) => {
      prompts = groups.map((g) => prompts[g]!)
      fed = groups.map((g) => fed[g]!)
    }
  }
}
