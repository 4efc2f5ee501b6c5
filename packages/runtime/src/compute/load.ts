// How large a micro-batch is, without packing it: what memory and work are computed from.
import type { TokenGroups } from "./Batch.ts"
import type { Sizes } from "./sizes.ts"

export interface Load {
  readonly sizes: Sizes
  /** (query, key) pairs over all attention blocks: all of them, and those that the causal rule lets through. */
  readonly pairs: number
  readonly seen: number
}

/** Of the groups packed with the branches of `sides`. */
export const loadOf = (data: TokenGroups, groups: ArrayLike<number>, sides: ReadonlyArray<string>): Load => {
  const branches = sides.map((side) => data.sides.indexOf(side))
  let [T, M, N, P, pairs, seen] = [0, 0, 0, 0, 0, 0]
  const block = (own: number, before: number): void => {
    pairs += own * (before + own)
    seen += own * before + own * (own + 1) / 2
    P = Math.max(P, before + own)
  }
  for (let i = 0; i < groups.length; i++) {
    const g = groups[i]!
    const prompt = data.promptLength[g]!
    T += prompt
    M += 1
    block(prompt, 0)
    for (const branch of branches) {
      const length = data.branchLength[g * data.sides.length + branch]!
      T += length - 1
      M += length - 1
      N += length
      block(length - 1, prompt)
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
    pairs: pairs * factor,
    seen: seen * factor
  }
}
