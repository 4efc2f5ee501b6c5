// Label noise, for experiments on what wrong preferences do. For the training side only: numbers on turned labels mean
// nothing, so splitting noisy pairs and measuring on them are refused.
import type { Pairs } from "./Artifact.ts"
import type { DataError } from "./Errors.ts"
import type { DataNeed } from "./Formula.ts"
import { type AnyStep, make, type Step } from "./Step.ts"

/**
 * Turns the preference of a share of the pairs round (of single answers, the label). The hash of seed and id decides, so
 * rates of one seed are nested: the pairs of 10 % are among those of 25 %.
 */
export const labelNoise = <H extends DataNeed, E>(
  pairs: Step<Pairs<H>, E>,
  { rate, seed = 0 }: { readonly rate: number; readonly seed?: number }
): Step<Pairs<H>, E | DataError> =>
  make({ kind: "noise", title: `${rate * 100} % label noise`, inputs: { pairs }, parameters: { rate, seed } })

const isNoisy = ({ inputs, kind }: AnyStep): boolean => kind === "noise" || Object.values(inputs).some(isNoisy)

/** Throws when noise was injected upstream of data that must be clean. */
export const assertClean = (data: AnyStep, use: string): void => {
  if (isNoisy(data)) {
    throw new RangeError(`${use}: these pairs have label noise; split first, and inject it into the training part`)
  }
}
