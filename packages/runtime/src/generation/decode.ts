// The tokenizer of a generation request, read once per folder: stop strings are looked for where the tokens are made.
import * as Effect from "effect/Effect"
import { loadTokenizer, type Tokenizer } from "../data/tokenizer.ts"
import type { Decode } from "./generate.ts"
import type { GenerateOptions } from "./Generation.ts"

let last: { readonly folder: string; readonly tokenizer: Promise<Tokenizer> } | undefined

/** Undefined where no stop string asks for text, or no tokenizer was named. */
export const decodeOf = async ({ stop, tokenizer: folder }: GenerateOptions): Promise<Decode | undefined> => {
  if (stop.length === 0 || folder === undefined) return undefined
  if (last?.folder !== folder) last = { folder, tokenizer: Effect.runPromise(loadTokenizer(folder)) }
  const tokenizer = await last.tokenizer
  return (ids) => tokenizer.decode(ids, true)
}
