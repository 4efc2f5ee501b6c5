// What normalising rows gives, whatever their shape: examples, and what was dropped or is odd, by row id.
// Rows that lack a field are errors; rows that are well formed but useless are dropped and counted, or errors if asked.
import { BadRow } from "@penchant/dsl/Errors"
import { answersOf, type Content, type Example, type Message } from "@penchant/dsl/Pair"
import { repeats } from "./repeats.ts"
import type { Row } from "./rows.ts"

/** Why a row is of no use. */
export type Useless =
  | "no assistant turn"
  | "prompts differ"
  | "chosen is blank"
  | "rejected is blank"
  | "answer is blank"
  | "chosen equals rejected"
/** What is odd about a row that is kept all the same (unless it is also useless). */
export type Odd =
  | "turns do not alternate"
  | "scores do not prefer the chosen"
  | "prompt is blank"
  | "prompt seen before"
  | "pair seen before"

export interface Report {
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
  readonly example: Example
  readonly reason?: Useless | undefined
  readonly odd?: ReadonlyArray<Odd>
}

/** Takes one row apart; throws `BadRow` when a field is missing or not what it must be. */
export type Part = (row: Row) => Parted

export const isBlank = (content: Content): boolean =>
  typeof content === "string"
    ? content.trim() === ""
    : content.every((message) => message.content.trim() === "" && message.tool_calls === undefined)

/** One string for a content. A text and a list of messages never collide: JSON quotes the one and brackets the other. */
export const contentKey = (content: Content): string => JSON.stringify(content)

/** The same for equal contents, and apart for others, also when several are strung together; cheaper than `contentKey`. */
const partKey = (content: Content): string =>
  typeof content === "string" ? `${content.length}:${content}` : contentKey(content)

const same = (a: Content, b: Content): boolean =>
  typeof a === "string" || typeof b === "string" ? a === b : contentKey(a) === contentKey(b)

const uselessBy = ({ example, reason }: Parted): Useless | undefined => {
  if (reason !== undefined) return reason
  for (const [side, answer] of answersOf(example)) if (isBlank(answer)) return `${side} is blank`
  if ("answer" in example) return undefined
  return same(example.chosen, example.rejected) ? "chosen equals rejected" : undefined
}

export interface Normaliser {
  /** The example of a row, undefined when it is dropped. Throws `BadRow`. */
  readonly take: (row: Row) => Example | undefined
  /** What was dropped and is odd about all rows taken; nothing can be taken afterwards. */
  readonly finish: () => Report
  /** Gives back what it holds outside of memory. */
  readonly close: () => void
}

/** Takes rows apart one by one, drops the useless and notes the odd. All functions throw `StoreError` besides. */
export const normaliser = (part: Part, { file = "rows", onBadRow = "drop" }: NormaliseOptions): Normaliser => {
  const dropped: Partial<Record<Useless, Array<string>>> = {}
  const noted: Partial<Record<Odd, Array<string>>> = {}
  const [prompts, wholes] = [repeats(), repeats()]
  const take = (row: Row): Example | undefined => {
    const parted = part(row)
    const { example } = parted
    const note = (odd: Odd): void => void (noted[odd] ??= []).push(row.id)
    for (const odd of parted.odd ?? []) note(odd)
    const reason = uselessBy(parted)
    if (reason !== undefined) {
      if (onBadRow === "fail") throw new BadRow({ file, row: row.id, problem: reason })
      const ids = dropped[reason] ??= []
      ids.push(row.id)
      return undefined
    }
    const prompt = partKey(example.prompt)
    if (isBlank(example.prompt)) note("prompt is blank")
    // Ids are numbers of rows.
    prompts.add(Number(row.id), prompt)
    const answers = answersOf(example).map(([, answer]) => partKey(answer))
    wholes.add(Number(row.id), `${prompt}${answers.join("")}`)
    return example
  }
  const finish = (): Report => {
    const seenBefore = ([["prompt seen before", prompts], ["pair seen before", wholes]] as const)
      .map(([odd, texts]) => [odd, texts.finish().map(({ index }) => String(index))] as const)
      .filter(([, rows]) => rows.length > 0)
    return { dropped, noted: { ...noted, ...Object.fromEntries(seenBefore) } }
  }
  const close = (): void => {
    prompts.close()
    wholes.close()
  }
  return { take, finish, close }
}

/** Roles in order: an optional system turn, then user and assistant in turn. Conversations with tools are not judged. */
export const rolesAlternate = (messages: ReadonlyArray<Message>): boolean => {
  const roles = messages.map(({ role }) => role)
  const turns = roles[0] === "system" ? roles.slice(1) : roles
  return turns.some((role) => role !== "user" && role !== "assistant") ||
    turns.every((role, index) => role === (index % 2 === 0 ? "user" : "assistant"))
}

/** Fields of the rows of one file: each throws `BadRow` when the field is not there or not what is asked for. */
export interface Fields {
  readonly bad: (row: Row, field: string, problem: string) => BadRow
  /** Undefined when the row has none, or null. */
  readonly maybe: (row: Row, name: string) => unknown
  readonly value: (row: Row, name: string) => unknown
  readonly text: (row: Row, name: string) => string
  readonly finite: (row: Row, name: string) => number
}

const shown = (value: unknown): string => JSON.stringify(value)?.slice(0, 60) ?? "nothing"

export const fieldsOf = (file: string): Fields => {
  const bad = (row: Row, field: string, problem: string) => new BadRow({ file, row: row.id, field, problem })
  const maybe = ({ id, row }: Row, name: string): unknown => {
    if (typeof row !== "object" || row === null) throw new BadRow({ file, row: id, problem: "is no object" })
    return (Object.hasOwn(row, name) ? Reflect.get(row, name) : undefined) ?? undefined
  }
  const value = (row: Row, name: string): unknown => {
    const found = maybe(row, name)
    if (found === undefined) throw bad(row, name, "is missing")
    return found
  }
  return {
    bad,
    maybe,
    value,
    text: (row, name) => {
      const found = value(row, name)
      if (typeof found !== "string") throw bad(row, name, `is ${shown(found)}, not text`)
      return found
    },
    finite: (row, name) => {
      const found = value(row, name)
      if (typeof found !== "number" || !Number.isFinite(found)) {
        throw bad(row, name, `is ${shown(found)}, not a finite number`)
      }
      return found
    }
  }
}
