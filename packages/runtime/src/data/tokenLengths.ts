// How long the token groups of a data set are: prompt, each answer, and what `maxLength` is held against.
import type { TokenGroups } from "../compute/Batch.ts"
import { type Quantiles, quantiles } from "./quantiles.ts"

/** Tokens of the prompt, of each side, and of prompt and longest answer together. */
export const tokenLengths = (
  { branchLength, promptLength, sides }: TokenGroups
): Readonly<Record<string, Quantiles>> => {
  const answers = sides.map((_, b) => branchLength.filter((_, at) => at % sides.length === b))
  const whole = promptLength.map((length, g) => length + Math.max(...answers.map((of) => of[g]!)))
  return {
    prompt: quantiles(promptLength),
    ...Object.fromEntries(sides.map((side, b) => [side, quantiles(answers[b]!)])),
    "prompt and longest answer": quantiles(whole)
  }
}
