// Disjoint parts of a set of pairs. What belongs together stays in one part; which part is decided by a hash of the seed
// and of what the pair is about, never by its place in the file, so that added rows move few others.
import { BadFile } from "@penchant/dsl/Errors"
import type { Example } from "@penchant/dsl/Pair"
import type { Size, SplitOptions as Words } from "@penchant/dsl/Split"
import * as Result from "effect/Result"
import { hash } from "node:crypto"
import { contentKey } from "./normalised.ts"

export interface Part {
  readonly name: string
  /** Below 1 a fraction of all pairs, a whole number a count, `"rest"` what the other parts leave. */
  readonly size: Size
}

/** What may not be torn apart: a first human turn, a prompt, or just the row. */
export type SplitBy = NonNullable<Words["by"]>

export interface SplitOptions {
  readonly parts: ReadonlyArray<Part>
  readonly by?: SplitBy
  readonly seed?: number
}

/** The first thing a person said: the first user message, or the first "Human:" turn of a transcript, or the whole prompt. */
export const firstTurn = ({ prompt }: Example): string => {
  if (typeof prompt !== "string") {
    return prompt.find(({ role }) => role === "user")?.content.trim() ?? contentKey(prompt)
  }
  const turn = /(?:^|\n\n)Human:([^]*?)(?:\n\n(?:Human|Assistant):|$)/.exec(prompt)
  return (turn?.[1] ?? prompt).trim()
}

const keys: { readonly [B in SplitBy]: (pair: Example) => string } = {
  firstTurn,
  prompt: ({ prompt }) => contentKey(prompt),
  row: ({ id }) => id
}

/** Indices of the pairs, grouped by key, the groups in the order of their hash. */
const groupsOf = (pairs: ReadonlyArray<Example>, by: SplitBy, seed: number): ReadonlyArray<ReadonlyArray<number>> => {
  const groups = new Map<string, Array<number>>()
  for (const [index, pair] of pairs.entries()) {
    const key = keys[by](pair)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [index])
    else group.push(index)
  }
  return Array.from(groups, ([key, group]) => ({ at: hash("sha256", `${seed}/${key}`, "hex"), group }))
    .toSorted((a, b) => (a.at < b.at ? -1 : 1))
    .map(({ group }) => group)
}

const refuse = (problem: string, remedy?: string) =>
  Result.fail(new BadFile({ file: "pairs to split", problem, ...(remedy === undefined ? {} : { remedy }) }))

/** Counts asked for, "rest" as undefined. Fractions are cut from one ruler, so that they never add up to more than all. */
const countsOf = (
  total: number,
  parts: ReadonlyArray<Part>
): Result.Result<ReadonlyArray<number | undefined>, BadFile> => {
  const sizes = parts.map(({ size }) => size)
  for (const { name, size } of parts) {
    if (size !== "rest" && !(size > 0 && (size < 1 || Number.isInteger(size)))) {
      return refuse(`part "${name}" has size ${size}`, `a fraction below 1, a whole number, or "rest"`)
    }
  }
  if (new Set(parts.map(({ name }) => name)).size < parts.length) return refuse("two parts have one name")
  if (sizes.filter((size) => size === "rest").length > 1) return refuse(`more than one part takes the "rest"`)
  let ruler = 0
  const counts = sizes.map((size) => {
    if (size === "rest" || size >= 1) return size === "rest" ? undefined : size
    const before = Math.round(ruler * total)
    ruler += size
    // Sums such as 0.7 + 0.2 + 0.1 fall short of 1 by rounding.
    return Math.round(Math.round(ruler * 1e9) / 1e9 * total) - before
  })
  const asked = counts.reduce<number>((sum, count) => sum + (count ?? 0), 0)
  if (asked > total) return refuse(`has ${total}, but the parts ask for ${asked}`, "ask for less")
  const none = parts.find((_, index) => counts[index] === 0 || (counts[index] === undefined && asked === total))
  return none === undefined
    ? Result.succeed(counts)
    : refuse(
      `nothing of ${total} is left for part "${none.name}" (size ${none.size})`,
      "ask for less elsewhere, or more here"
    )
}

/**
 * The parts by name, in the order of the data. Parts are filled in the order written, each with the first groups that
 * still fit: a count is met exactly unless only larger groups are left, and never exceeded.
 */
export const splitPairs = <E extends Example>(
  pairs: ReadonlyArray<E>,
  { by = "firstTurn", parts, seed = 0 }: SplitOptions
): Result.Result<Readonly<Record<string, ReadonlyArray<E>>>, BadFile> =>
  Result.flatMap(countsOf(pairs.length, parts), (counts) => {
    let left = groupsOf(pairs, by, seed)
    const taken = new Map<string, ReadonlyArray<number>>()
    for (const [index, { name }] of parts.entries()) {
      const count = counts[index]
      if (count === undefined) continue
      let room = count
      const [mine, others]: [Array<number>, Array<ReadonlyArray<number>>] = [[], []]
      for (const group of left) {
        if (group.length > room) others.push(group)
        else {
          mine.push(...group)
          room -= group.length
        }
      }
      if (mine.length === 0) {
        return refuse(
          `part "${name}" asks for ${count}, but every ${by} left has more pairs than that`,
          `a larger part, or by: "row"`
        )
      }
      taken.set(name, mine)
      left = others
    }
    const rest = left.flat()
    return Result.succeed(Object.fromEntries(parts.map(({ name }) => {
      const indices = taken.get(name) ?? rest
      return [name, indices.toSorted((a, b) => a - b).map((index) => pairs[index]!)]
    })))
  })

/** The first `count` pairs in the order of the data; all of them when there are fewer. */
export const first = <E extends Example>(pairs: ReadonlyArray<E>, count: number): ReadonlyArray<E> =>
  pairs.slice(0, count)

/** `count` pairs drawn by the hash of seed and row, in the order of the data; all of them when there are fewer. */
export const sample = <E extends Example>(pairs: ReadonlyArray<E>, count: number, seed = 0): ReadonlyArray<E> =>
  groupsOf(pairs, "row", seed).slice(0, count).flat().toSorted((a, b) => a - b).map((index) => pairs[index]!)
