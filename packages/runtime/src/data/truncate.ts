// What happens to a pair that is longer than the model may see. Both answers keep the same prompt, whatever is cut.
import type { Truncation } from "@penchant/dsl/Tokenise"
import type { Encoded } from "./boundary.ts"

/** Why a pair is left out. */
export type Left =
  | "longer than maxLength"
  | "no room for the prompt"
  | "no room for an answer"
  | "system turn not found"
  | "only one answer cut"
  | "answers equal in tokens"
  | "no tokens"

export interface Fitted {
  readonly _tag: "Fitted"
  readonly prompt: ReadonlyArray<number>
  /** By side. */
  readonly answers: ReadonlyArray<ReadonlyArray<number>>
}
export type Fit =
  | Fitted
  | { readonly _tag: "Left"; readonly reason: Left }
  | { readonly _tag: "TooLong"; readonly length: number }

export interface FitOptions {
  /** Tokens of prompt and one answer, BOS and EOS included. */
  readonly maxLength: number
  readonly truncation: Truncation
  /** Keep a pair of which `endOfAnswer` cut one side only. */
  readonly allowCut: boolean
}

const left = (reason: Left): Fit => ({ _tag: "Left", reason })

const equal = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean =>
  a.length === b.length && a.every((id, index) => id === b[index])

/** Nothing to learn from: no token to predict, none to predict from, or the same tokens on both sides. */
const checked = (prompt: ReadonlyArray<number>, answers: ReadonlyArray<ReadonlyArray<number>>): Fit => {
  if (prompt.length === 0 || answers.some((ids) => ids.length === 0)) return left("no tokens")
  const [first, ...others] = answers
  return others.some((ids) => equal(first!, ids))
    ? left("answers equal in tokens")
    : { _tag: "Fitted", prompt, answers }
}

/** Fits one example into `maxLength`. */
export const fit = (encoded: Encoded, { allowCut, maxLength, truncation }: FitOptions): Fit => {
  const { prompt } = encoded
  const answers = encoded.answers.map(({ ids }) => ids)
  const lengths = answers.map((ids) => ids.length)
  const longest = Math.max(...lengths)
  if (prompt.length + longest <= maxLength) return checked(prompt, answers)
  switch (truncation) {
    case "drop":
      return left("longer than maxLength")
    case "fail":
      return { _tag: "TooLong", length: prompt.length + longest }
    case "leftOfPrompt": {
      const head = encoded.head()
      if (head === undefined) return left("system turn not found")
      // At least one token of what was asked must remain: an answer to nothing teaches nothing.
      const tail = maxLength - longest - head
      if (tail < 1) return left("no room for the prompt")
      return checked([...prompt.slice(0, head), ...prompt.slice(prompt.length - tail)], answers)
    }
    case "endOfAnswer": {
      const room = maxLength - prompt.length
      if (room < 1) return left("no room for an answer")
      if (!allowCut && Math.min(...lengths) <= room) return left("only one answer cut")
      return checked(prompt, answers.map((ids) => ids.slice(0, room)))
    }
  }
}
