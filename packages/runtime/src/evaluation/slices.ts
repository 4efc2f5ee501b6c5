// Parts of a set of pairs: by length, by turns, by source, by a column. Each gives the pairs of its parts by the number's name.
import { BadFile } from "@penchant/dsl/Errors"
import type { Example } from "@penchant/dsl/Pair"
import * as Result from "effect/Result"
import type { TokenGroups } from "../compute/Batch.ts"

export type Slices = Readonly<Record<string, ReadonlyArray<number>>>

/** More values than this are no parts but a measurement. */
const mostParts = 24

const grouped = (count: number, nameOf: (pair: number) => string): Slices =>
  Object.fromEntries(
    [...Map.groupBy(Array.from({ length: count }, (_, p) => p), nameOf)].toSorted(([a], [b]) => (a < b ? -1 : 1))
  )

/** By prompt and answers together; pairs of one length keep their order. */
const byLength = ({ ids, offsets }: TokenGroups): Slices => {
  const lengths = ids.map((_, g) => offsets[g + 1]! - offsets[g]!)
  const order = [...lengths.keys()].toSorted((a, b) => lengths[a]! - lengths[b]!)
  const quartile = new Map(order.map((pair, at) => [pair, Math.floor(4 * at / order.length) + 1]))
  return grouped(ids.length, (pair) => `accuracyLength${quartile.get(pair)}`)
}

/** Turns of people in a prompt: messages of users, or as HH-RLHF writes them; one in text without either. */
export const turnsOf = ({ prompt }: Pick<Example, "prompt">): number =>
  typeof prompt === "string"
    ? Math.max(1, prompt.split("\n\nHuman:").length - 1)
    : prompt.filter(({ role }) => role === "user").length

const byTurns = ({ ids }: TokenGroups, examples: ReadonlyArray<Example>): Slices => {
  const turns = new Map(examples.map((example) => [example.id, turnsOf(example)]))
  return grouped(ids.length, (pair) => `accuracyTurns${Math.min(3, turns.get(ids[pair]!)!)}`)
}

/** `examples` are asked for by turns only. */
export const slicesOf = (
  by: string | { readonly column: string },
  data: TokenGroups,
  examples: ReadonlyArray<Example>,
  file: string
): Result.Result<Slices, BadFile> => {
  if (by === "length") return Result.succeed(byLength(data))
  if (by === "turns") return Result.succeed(byTurns(data, examples))
  const bad = (problem: string, remedy: string) => Result.fail(new BadFile({ file, problem, remedy }))
  let slices: Slices
  if (typeof by === "string") {
    const without = data.ids.find((id) => !id.includes("/"))
    if (without !== undefined) return bad(`row ${without} names no source`, "sources are those of a `mix`")
    slices = grouped(data.ids.length, (pair) => `accuracy[${data.ids[pair]!.split("/")[0]}]`)
  } else {
    const values = data.columns[by.column]
    if (values === undefined) {
      return bad(`there is no column "${by.column}"`, `there is ${Object.keys(data.columns).join(", ") || "none"}`)
    }
    slices = grouped(data.ids.length, (pair) => `accuracy[${by.column}=${values[pair]}]`)
  }
  const parts = Object.keys(slices).length
  return parts > mostParts ? bad(`${parts} values are too many parts`, `at most ${mostParts}`) : Result.succeed(slices)
}
