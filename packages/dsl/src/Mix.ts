// Several sets of pairs as one.
import type { Pairs } from "./Artifact.ts"
import type { DataError } from "./Errors.ts"
import type { DataNeed } from "./Formula.ts"
import { make, type Step } from "./Step.ts"

/**
 * A mixture in the shares given: `mix({ hh: [helpful, 0.7], ultrafeedback: [chat, 0.3] }, { count: 20_000 })`. Every
 * source gives a seeded sample without repetition; without `count`, the largest mixture that no source is too small for.
 * Ids become `hh/12`; columns that not all of them have are left out.
 */
export const mix = <H extends DataNeed, E>(
  sources: Readonly<Record<string, readonly [pairs: Step<Pairs<H>, E>, weight: number]>>,
  options: { readonly count?: number; readonly seed?: number } = {}
): Step<Pairs<H>, E | DataError> =>
  make({
    kind: "mix",
    title: `mix ${Object.keys(sources).join(" ")}`,
    inputs: Object.fromEntries(Object.entries(sources).map(([name, [pairs]]) => [name, pairs])),
    parameters: {
      weights: Object.entries(sources).map(([name, [, weight]]) => ({ name, weight })),
      seed: 0,
      ...options
    }
  })
