// Lines of a file of examples -> their part. The same in a worker as here, so that who made a part shows nowhere.
import * as Result from "effect/Result"
import type { Lines } from "./jsonlRows.ts"
import { examplesIn } from "./rowsFile.ts"
import { type Part, partTokeniser, type Shape, type TokeniseOptions } from "./tokenisePart.ts"
import type { Tokenizer } from "./tokenizer.ts"

export interface LinesOptions {
  /** For messages. */
  readonly file: string
  readonly shape: Shape
  readonly options: TokeniseOptions
}

export interface Done {
  readonly part: Part
  /** Of all examples in the lines, those left out too. */
  readonly ids: ReadonlyArray<string>
}

/** Throws `BadRow`, or `BadTokens` and `BadFile` of the first row that has one. */
export const lineTokeniser = (tokenizer: Tokenizer, { file, options, shape }: LinesOptions): (lines: Lines) => Done => {
  const examples = examplesIn(file)
  const tokenise = partTokeniser(tokenizer, shape, options)
  return (lines) => {
    const read = examples(lines)
    return { part: Result.getOrThrow(tokenise(read)), ids: read.map(({ id }) => id) }
  }
}
