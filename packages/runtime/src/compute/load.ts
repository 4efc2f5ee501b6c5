// How large a micro-batch is, without packing it: what memory and work are computed from.
import type { TokenGroups } from "./Batch.ts"
import type { NodeOf } from "./Graph.ts"
import type { Sizes } from "./sizes.ts"

export interface Load {
  readonly sizes: Sizes
  /** (query, key) pairs over all attention blocks, by whether all T rows ask or the M that predict. */
  readonly pairs: Pairs
  /** Those that the causal rule lets through. */
  readonly seen: Pairs
}
type Pairs = Readonly<Record<"T" | "M", number>>

/** Which rows of a batch ask. */
export const askingOf = ({ inputs: { q } }: NodeOf<"attention"> | NodeOf<"attentionBackward">): "T" | "M" =>
  q.shape[0] === "M" ? "M" : "T"

/** Of the groups packed with the branches of `sides`. */
export const loadOf = (data: TokenGroups, groups: ArrayLike<number>, sides: ReadonlyArray<string>): Load => {
  const branches = sides.map((side) => data.sides.indexOf(side))
  let [T, M, N, P] = [0, 0, 0, 0]
  const pairs = { T: 0, M: 0 }
  const seen = { T: 0, M: 0 }
  const block = (own: number, before: number, predicting: number): void => {
    P = Math.max(P, before + own)
    for (const [rows, asks] of [["T", own], ["M", predicting]] as const) {
      pairs[rows] += asks * (before + own)
      seen[rows] += asks * (before + own) - asks * (asks - 1) / 2
    }
  }
  for (let i = 0; i < groups.length; i++) {
    const g = groups[i]!
    const prompt = data.promptLength[g]!
    T += prompt
    M += 1
    block(prompt, 0, 1)
    for (const branch of branches) {
      const length = data.branchLength[g * data.sides.length + branch]!
      T += length - 1
      M += length - 1
      N += length
      block(length - 1, prompt, length - 1)
    }
  }
  return { sizes: { T, M, N, G: groups.length, S: groups.length * (1 + sides.length), P }, pairs, seen }
}

/** As many groups like `load` as make `rows` rows: the same share of head rows and of attention. */
export const scaledTo = ({ pairs, seen, sizes }: Load, rows: number): Load => {
  const factor = rows / sizes.T
  const { G, M, N, P, S, T } = sizes
  return {
    sizes: { T: T * factor, M: M * factor, N: N * factor, G: G * factor, S: S * factor, P },
    pairs: { T: pairs.T * factor, M: pairs.M * factor },
    seen: { T: seen.T * factor, M: seen.M * factor }
  }
}
