// Label noise: a share of the examples has its preference turned round. Which ones is decided by a hash of the seed and
// the example's id, so that the 10 % are among the 25 %, whatever else is in the data.
import { BadFile } from "@penchant/dsl/Errors"
import type { Example } from "@penchant/dsl/Pair"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { exampleLine, pairBatches } from "../data/rowsFile.ts"
import { unit } from "../data/unit.ts"
import { examplesFile, pairsOf } from "./examples.ts"
import { parametersOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

const Parameters = Schema.Struct({ rate: Schema.Finite, seed: Schema.Int })

const turned = (example: Example): Example =>
  "answer" in example
    ? { ...example, columns: { ...example.columns, label: 1 - example.columns["label"]! } }
    : { ...example, chosen: example.rejected, rejected: example.chosen }

export const noise: Implementation = {
  computes: false,
  run: Effect.fn("noise")(function*(job) {
    const { rate, seed } = parametersOf(job, Parameters)
    if (!(rate >= 0 && rate <= 1)) {
      return yield* new BadFile({ file: job.label, problem: `rate ${rate} is not between 0 and 1` })
    }
    const file = yield* examplesFile(job, "pairs")
    const flipped: Array<string> = []
    return yield* pairsOf(
      job,
      async function*(signal) {
        for await (const batch of pairBatches(file, signal)) {
          yield batch.map((example) => {
            if (unit(`${seed}/${example.id}`) >= rate) return example
            flipped.push(example.id)
            return turned(example)
          })
        }
      },
      exampleLine,
      () => ({ flipped })
    )
  })
}
