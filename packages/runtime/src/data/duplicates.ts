// Examples that say the same: equal texts once case, Unicode form and white space are evened out.
import { answersOf, type Content, type Example } from "@penchant/dsl/Pair"
import { repeats } from "./repeats.ts"
import { pairBatches } from "./rowsFile.ts"

/** What two examples must share to be the same. */
export type Sameness = "pair" | "prompt"

const evened = (text: string): string => text.normalize("NFKC").toLowerCase().replaceAll(/\s+/gu, " ").trim()

/** Roles kept, since the same words of another speaker are other words. */
const spoken = (content: Content): string =>
  typeof content === "string"
    ? evened(content)
    : JSON.stringify(content.map((message) => ({ ...message, content: evened(message.content) })))

/** A text that examples share exactly when they say the same. */
export const sameness = (by: Sameness) => (example: Example): string =>
  JSON.stringify([
    spoken(example.prompt),
    ...(by === "prompt" ? [] : answersOf(example).map(([, answer]) => spoken(answer)))
  ])

/** How many examples a file holds, and of each that repeats an earlier one its number -> the first's. */
export const duplicates = async (
  file: string,
  by: Sameness,
  signal: AbortSignal
): Promise<{ readonly of: number; readonly firstOf: ReadonlyMap<number, number> }> => {
  const textOf = sameness(by)
  const texts = repeats()
  try {
    let of = 0
    for await (const batch of pairBatches(file, signal)) for (const example of batch) texts.add(of++, textOf(example))
    return { of, firstOf: new Map(texts.finish().map(({ first, index }) => [index, first])) }
  } finally {
    texts.close()
  }
}
