// Disjoint parts of a set of pairs. What belongs together stays in one part; which part is decided by a hash of the seed
// and of what the pair is about, never by its place in the file, so that added rows move few others.
import { BadFile } from "@penchant/dsl/Errors"
import type { Example } from "@penchant/dsl/Pair"
import type { Size, SplitOptions as Words } from "@penchant/dsl/Split"
import * as Result from "effect/Result"
import { contentKey } from "./normalised.ts"
import { unit } from "./unit.ts"

export interface Part {
  readonly name: string
  /** Below 1 a fraction of all pairs, a whole number a count, `"rest"` what the other parts leave. */
  readonly size: Size
}

/** What may not be torn apart: a first human turn, a prompt, or just the row. */
export type SplitBy = NonNullable<Words["by"]>

/** The first thing a person said: the first user message, or the first "Human:" turn of a transcript, or the whole prompt. */
export const firstTurn = ({ prompt }: Example): string => {
  if (typeof prompt !== "string") {
    return prompt.find(({ role }) => role === "user")?.content.trim() ?? contentKey(prompt)
  }
  const turn = /(?:^|\n\n)Human:([^]*?)(?:\n\n(?:Human|Assistant):|$)/.exec(prompt)
  return (turn?.[1] ?? prompt).trim()
}

const keys: { readonly [B in SplitBy]: (example: Example) => string } = {
  firstTurn,
  prompt: ({ prompt }) => contentKey(prompt),
  row: ({ id }) => id
}

/** Where an example stands in the order that decides: in [0, 1), the same for all that belongs together. */
export const place = (by: SplitBy, seed: number): (example: Example) => number => {
  const keyOf = keys[by]
  return (example) => unit(`${seed}/${keyOf(example)}`)
}

/** Indices of the examples in the order of their places, and where each group of one place begins in that order. */
const groupsOf = (places: Float64Array): { readonly order: Uint32Array; readonly starts: Uint32Array } => {
  const order = Uint32Array.from(places.keys()).toSorted((a, b) => places[a]! - places[b]! || a - b)
  const starts = new Uint32Array(places.length + 1)
  let groups = 0
  for (let at = 0; at < order.length; at++) {
    if (at === 0 || places[order[at]!] !== places[order[at - 1]!]) starts[groups++] = at
  }
  starts[groups] = order.length
  return { order, starts: starts.subarray(0, groups + 1) }
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
 * The part that each example belongs to, by number; -1 where no part takes it. `places` are the examples' by `place`.
 * Parts are filled in the order written, each with the first groups that still fit: a count is met exactly unless only
 * larger groups are left, and never exceeded.
 */
export const splitParts = (
  places: Float64Array,
  by: SplitBy,
  parts: ReadonlyArray<Part>
): Result.Result<Int16Array, BadFile> =>
  Result.flatMap(countsOf(places.length, parts), (counts) => {
    const { order, starts } = groupsOf(places)
    // Groups that no part has yet, in order.
    let left = Uint32Array.from({ length: starts.length - 1 }, (_, group) => group)
    const rest = counts.indexOf(undefined)
    const partOf = new Int16Array(places.length).fill(rest)
    for (const [part, { name }] of parts.entries()) {
      const count = counts[part]
      if (count === undefined) continue
      let room = count
      const others = left.filter((group) => {
        const [from, to] = [starts[group]!, starts[group + 1]!]
        if (to - from > room) return true
        for (const index of order.subarray(from, to)) partOf[index] = part
        room -= to - from
        return false
      })
      if (others.length === left.length) {
        return refuse(
          `part "${name}" asks for ${count}, but every ${by} left has more pairs than that`,
          `a larger part, or by: "row"`
        )
      }
      left = others
    }
    return Result.succeed(partOf)
  })
