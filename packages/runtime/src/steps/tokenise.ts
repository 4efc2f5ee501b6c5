// Pairs become ids of the model's tokenizer; what was cut or left out is counted in report.json.
import { BadFile } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { tokeniseFile } from "../data/tokeniseFile.ts"
import { loadTokenizer } from "../data/tokenizer.ts"
import { encodeTokens } from "../data/tokensFile.ts"
import { examplesFile } from "./examples.ts"
import { fileOf, folderOf, inputOf, json, parametersOf, readInput } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

const Parameters = Schema.Struct({
  maxLength: Schema.Int,
  truncation: Schema.Literals(["drop", "leftOfPrompt", "endOfAnswer", "fail"]),
  allowCut: Schema.Boolean
})
const Config = Schema.fromJsonString(Schema.Struct({ vocab_size: Schema.Int }))

export const tokenise: Implementation = {
  computes: false,
  run: Effect.fn("tokenise")(function*(job) {
    const options = parametersOf(job, Parameters)
    const model = inputOf(job, "model")
    const file = yield* examplesFile(job, "data")
    const tokenizer = yield* loadTokenizer(yield* folderOf(job, "model"))
    const config = new TextDecoder().decode(yield* readInput(model, "config.json"))
    const { vocab_size: vocabSize } = yield* Schema.decodeEffect(Config)(config).pipe(
      Effect.mapError(({ message }) => new BadFile({ file: fileOf(model, "config.json"), problem: message }))
    )
    const { groups, report } = yield* tokeniseFile(file, tokenizer, { ...options, vocabSize })
    if (groups.ids.length === 0) {
      const reasons = Object.entries(report.dropped).map(([reason, ids]) => `${ids.length}: ${reason}`)
      return yield* new BadFile({
        file: job.label,
        problem: `none of ${report.pairs} pairs is left (${reasons.join("; ")})`,
        remedy: "a larger maxLength, or another truncation"
      })
    }
    return {
      kind: "Tokens",
      meta: { count: groups.ids.length, tokens: report.tokens },
      files: { ...encodeTokens(groups), "report.json": json(report) }
    }
  })
}
