// What normalising rows gives, whatever their shape: pairs, and what was dropped or is odd, by row id.
// Rows that lack a field are errors; rows that are well formed but useless are dropped and counted, or errors if asked.
import { BadRow } from "@penchant/dsl/Errors"
import type { Content, Message, Pair } from "@penchant/dsl/Pair"
import * as Result from "effect/Result"

/** Why a row is of no use. */
export type Useless =
  | "no assistant turn"
  | "prompts differ"
  | "chosen is blank"
  | "rejected is blank"
  | "chosen equals rejected"
/** What is odd about a row that is kept all the same (unless it is also useless). */
export type Odd = "turns do not alternate" | "prompt is blank" | "prompt seen before" | "pair seen before"

export interface Normalised {
  readonly pairs: ReadonlyArray<Pair>
  /** Reason -> ids of rows left out, in row order; each row once, under the first reason that holds. */
  readonly dropped: Readonly<Partial<Record<Useless, ReadonlyArray<string>>>>
  /** Oddity -> ids of rows, dropped ones included. */
  readonly noted: Readonly<Partial<Record<Odd, ReadonlyArray<string>>>>
}

export interface NormaliseOptions {
  /** Named in messages. */
  readonly file?: string
  /** Drop useless rows (default), or fail on the first. */
  readonly onBadRow?: "drop" | "fail"
}

/** A row taken apart. `reason` says why it is of no use, apart from what its answers show. */
export interface Parted {
  readonly pair: Pair
  readonly reason?: Useless | undefined
  readonly alternates: boolean
}

const blank = (content: Content): boolean =>
  typeof content === "string" ? content.trim() === "" : content.every((message) => message.content.trim() === "")

/** One string for a content. A text and a list of messages never collide: JSON quotes the one and brackets the other. */
export const contentKey = (content: Content): string => JSON.stringify(content)

const uselessBy = ({ pair, reason }: Parted): Useless | undefined => {
  if (reason !== undefined) return reason
  if (blank(pair.chosen)) return "chosen is blank"
  if (blank(pair.rejected)) return "rejected is blank"
  return contentKey(pair.chosen) === contentKey(pair.rejected) ? "chosen equals rejected" : undefined
}

/** Takes every row apart, drops the useless and notes the odd. */
export const normalised = <R extends { readonly id: string }>(
  rows: ReadonlyArray<R>,
  part: (row: R) => Result.Result<Parted, BadRow>,
  { file = "rows", onBadRow = "drop" }: NormaliseOptions
): Result.Result<Normalised, BadRow> => {
  const pairs: Array<Pair> = []
  const dropped: Partial<Record<Useless, Array<string>>> = {}
  const noted: Partial<Record<Odd, Array<string>>> = {}
  const seen = new Set<string>()
  for (const row of rows) {
    const parted = part(row)
    if (Result.isFailure(parted)) return Result.fail(parted.failure)
    const { alternates, pair } = parted.success
    const note = (odd: Odd): void => void (noted[odd] ??= []).push(row.id)
    if (!alternates) note("turns do not alternate")
    const reason = uselessBy(parted.success)
    if (reason !== undefined) {
      if (onBadRow === "fail") return Result.fail(new BadRow({ file, row: row.id, problem: reason }))
      const ids = dropped[reason] ??= []
      ids.push(row.id)
      continue
    }
    const prompt = contentKey(pair.prompt)
    const whole = `${prompt}${contentKey(pair.chosen)}${contentKey(pair.rejected)}`
    if (blank(pair.prompt)) note("prompt is blank")
    if (seen.has(prompt)) note("prompt seen before")
    if (seen.has(whole)) note("pair seen before")
    seen.add(prompt).add(whole)
    pairs.push(pair)
  }
  return Result.succeed({ pairs, dropped, noted })
}

/** The field of a row, which must be there. */
export const field = (file: string, id: string, row: unknown, name: string): Result.Result<unknown, BadRow> => {
  if (typeof row !== "object" || row === null) {
    return Result.fail(new BadRow({ file, row: id, problem: "is no object" }))
  }
  const value: unknown = Object.hasOwn(row, name) ? Reflect.get(row, name) : undefined
  return value === undefined
    ? Result.fail(new BadRow({ file, row: id, field: name, problem: "is missing" }))
    : Result.succeed(value)
}

/** Roles in order: an optional system turn, then user and assistant in turn. Conversations with tools are not judged. */
export const rolesAlternate = (messages: ReadonlyArray<Message>): boolean => {
  const roles = messages.map(({ role }) => role)
  const turns = roles[0] === "system" ? roles.slice(1) : roles
  return turns.some((role) => role !== "user" && role !== "assistant") ||
    turns.every((role, index) => role === (index % 2 === 0 ? "user" : "assistant"))
}
