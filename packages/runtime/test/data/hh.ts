// The preference pairs that ship, read once for the tests that need real data.
import type { Pair } from "@penchant/dsl/Pair"
import { normalise } from "@penchant/runtime/data/normalisers"
import { readRows } from "@penchant/runtime/data/rows"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { fileURLToPath } from "node:url"

const root = new URL("../../../../", import.meta.url)
export const file = fileURLToPath(new URL("data/hh-rlhf/harmless-base/test.jsonl.gz", root))
export const stories260K = fileURLToPath(new URL("data/models/stories260K", root))
export const minimind = fileURLToPath(new URL("../references/tokenizers/minimind", import.meta.url))
export const reference = (name: string): string => fileURLToPath(new URL(`../references/${name}`, import.meta.url))

export const rows = await Effect.runPromise(readRows(file))
const { pairs, ...report } = Result.getOrThrow(normalise("hh", rows, { file }))
export const normalised = { ...report, pairs: pairs as ReadonlyArray<Pair> }
