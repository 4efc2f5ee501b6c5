// Rows without a prompt of their own: `chosen` and `rejected` are whole, and share it. Of messages the prompt is the
// turns before the last answer. Of text it ends where the tokens stop being the same, which only the tokenizer can say:
// until then it is given as the shared words, so that rows of one prompt are known to belong together.
import { contentIn, conversationPair, toolsIn } from "./conversation.ts"
import type { Fields, Part } from "./normalised.ts"
import { columnsIn } from "./normalisePlain.ts"

/** UTF-16 units that both texts start with, back to the end of a word, where no tokenizer's word is cut. */
const sharedWords = (a: string, b: string): number => {
  const most = Math.min(a.length, b.length)
  let at = 0
  while (at < most && a[at] === b[at]) at += 1
  if (at === a.length && at === b.length) return at
  while (at > 0 && !/\s/u.test(a[at - 1]!)) at -= 1
  return a.slice(0, at).trimEnd().length
}

export const implicitPart = (fields: Fields, columns: ReadonlyArray<string>): Part => (row) => {
  const [chosen, rejected] = [contentIn(fields, row, "chosen"), contentIn(fields, row, "rejected")]
  const rest = { id: row.id, columns: columnsIn(fields, row, columns), ...toolsIn(fields, row) }
  if (typeof chosen !== "string" || typeof rejected !== "string") {
    return conversationPair(undefined, chosen, rejected, rest)
  }
  const at = sharedWords(chosen, rejected)
  return {
    example: {
      prompt: chosen.slice(0, at),
      chosen: chosen.slice(at),
      rejected: rejected.slice(at),
      ...rest,
      implicit: true
    }
  }
}
