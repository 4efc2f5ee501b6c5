// One part of a split; the other parts are other steps, cut by the same rule.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as path from "node:path"
import { encodePairs, readPairs } from "../data/rowsFile.ts"
import { splitPairs } from "../data/split.ts"
import { folderOf, parametersOf } from "./files.ts"
import type { Implementation } from "./Implementation.ts"

const Parameters = Schema.Struct({
  parts: Schema.Array(
    Schema.Struct({ name: Schema.String, size: Schema.Union([Schema.Finite, Schema.Literal("rest")]) })
  ),
  part: Schema.String,
  by: Schema.Literals(["firstTurn", "prompt", "row"]),
  seed: Schema.Int
})

export const split: Implementation = {
  computes: false,
  run: Effect.fn("split")(function*(job) {
    const { part, ...options } = parametersOf(job, Parameters)
    const pairs = yield* readPairs(path.join(yield* folderOf(job, "pairs"), "pairs.jsonl"))
    const parts = yield* Effect.fromResult(splitPairs(pairs, options))
    const mine = parts[part]!
    return { kind: "Pairs", meta: { count: mine.length, dropped: {} }, files: { "pairs.jsonl": encodePairs(mine) } }
  })
}
