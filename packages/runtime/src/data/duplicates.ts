// Examples that say the same: equal texts once case, Unicode form and white space are evened out.
import { answersOf, type Content, type Example } from "@penchant/dsl/Pair"
import { unit } from "./digests.ts"

/** What two examples must share to be the same. */
export type Sameness = "pair" | "prompt"

const evened = (text: string): string => text.normalize("NFKC").toLowerCase().replaceAll(/\s+/gu, " ").trim()

/** Roles kept, since the same words of another speaker are other words. */
const spoken = (content: Content): string =>
  typeof content === "string"
    ? evened(content)
    : JSON.stringify(content.map((message) => ({ ...message, content: evened(message.content) })))

/** A number that examples share exactly when they say the same (but for one chance in 1e4 at a million examples). */
export const sameness = (by: Sameness) => (example: Example): number =>
  unit(
    JSON.stringify([
      spoken(example.prompt),
      ...(by === "prompt" ? [] : answersOf(example).map(([, answer]) => spoken(answer)))
    ])
  )

/** Index of each example that repeats an earlier one -> index of the first. */
export const duplicates = (keys: Float64Array): ReadonlyMap<number, number> => {
  const first = new Map<number, number>()
  const repeats = new Map<number, number>()
  for (const [index, key] of keys.entries()) {
    const before = first.get(key)
    if (before === undefined) first.set(key, index)
    else repeats.set(index, before)
  }
  return repeats
}
