// Disjoint parts of a set of pairs. What belongs together (a conversation, a prompt) stays on one side.
import type { Pairs } from "./Artifact.ts"
import type { DataError } from "./Errors.ts"
import type { DataNeed } from "./Formula.ts"
import { assertClean } from "./Noise.ts"
import { make, type Step } from "./Step.ts"

export interface SplitOptions {
  /** What may not be torn apart: the first human turn (default), the whole prompt, or nothing. */
  readonly by?: "firstTurn" | "prompt" | "row"
  readonly seed?: number
}

/** Sizes below 1 are fractions, whole numbers counts of pairs, `"rest"` what is left. */
export type Size = number | "rest"

/** Named parts of the given sizes, in the order written: `parts(pairs, { sft: 1024, preference: 384, test: 128 })`. */
export const parts = <H extends DataNeed, E, const S extends Readonly<Record<string, Size>>>(
  pairs: Step<Pairs<H>, E>,
  sizes: S,
  options: SplitOptions = {}
): { readonly [P in keyof S]: Step<Pairs<H>, E | DataError> } => {
  assertClean(pairs, "split")
  const all = Object.entries(sizes).map(([name, size]) => ({ name, size }))
  const { by = "firstTurn", seed = 0 } = options
  const part = (name: string): Step<Pairs<H>, E | DataError> =>
    make({ kind: "split", title: `split ${name}`, inputs: { pairs }, parameters: { parts: all, part: name, by, seed } })
  return Object.fromEntries(all.map(({ name }) => [name, part(name)])) as {
    readonly [P in keyof S]: Step<Pairs<H>, E | DataError>
  }
}

/** Two parts: `test` of the size asked for, and `train`. */
export const split = <H extends DataNeed, E>(
  pairs: Step<Pairs<H>, E>,
  options: { readonly test: number } & SplitOptions
): { readonly train: Step<Pairs<H>, E | DataError>; readonly test: Step<Pairs<H>, E | DataError> } =>
  parts(pairs, { test: options.test, train: "rest" }, options)

/** So many pairs (below 1: that fraction) drawn by a hash of seed and row: a smaller sample of one seed is part of a larger. */
export const sample = <H extends DataNeed, E>(
  pairs: Step<Pairs<H>, E>,
  size: number,
  { by = "row", seed }: SplitOptions = {}
): Step<Pairs<H>, E | DataError> =>
  parts(pairs, { sample: size }, { by, ...(seed === undefined ? {} : { seed }) }).sample
