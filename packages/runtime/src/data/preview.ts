// What a model will see of each group, token by token, for people to check. Leaves out colours and layout.
import type { TokenGroups } from "../compute/Batch.ts"
import type { Tokenizer } from "./tokenizer.ts"

export interface PreviewToken {
  readonly id: number
  /** The text this token adds; empty while bytes of one character are still missing. */
  readonly text: string
  /** BOS, EOS, an end of turn. */
  readonly special: boolean
  /** Whether its log-probability is part of the loss. */
  readonly loss: boolean
}

export interface PreviewGroup {
  readonly id: string
  readonly prompt: ReadonlyArray<PreviewToken>
  /** One branch per side; `ended` when its last token is special. */
  readonly branches: ReadonlyArray<{
    readonly side: string
    readonly ended: boolean
    readonly tokens: ReadonlyArray<PreviewToken>
  }>
  readonly columns: Readonly<Record<string, number>>
}

/** Tokens decoded before the one in question: decoders look back, to join bytes and to strip a first space. */
const context = 12

/**
 * Text of each token such that the pieces join to the decoded whole: what decoding with the token adds to decoding
 * without it, held back while it ends in the replacement character.
 */
const texts = (
  ids: ReadonlyArray<number>,
  before: ReadonlyArray<number>,
  tokenizer: Tokenizer
): ReadonlyArray<string> => {
  const all = [...before, ...ids]
  const out: Array<string> = []
  let held = before.length
  for (let i = before.length; i < all.length; i++) {
    const from = Math.max(0, held - context)
    const known = tokenizer.decode(all.slice(from, held))
    const now = tokenizer.decode(all.slice(from, i + 1))
    const added = now.startsWith(known) ? now.slice(known.length) : tokenizer.decode([all[i]!])
    // Four bytes make a character, so a fifth token means that the bytes are none.
    if (added.endsWith("\ufffd") && i - held < 4 && i < all.length - 1) out.push("")
    else {
      out.push(added)
      held = i + 1
    }
  }
  return out
}

/** The first `count` groups, decoded. */
export const previewRows = (groups: TokenGroups, tokenizer: Tokenizer, count: number): ReadonlyArray<PreviewGroup> =>
  groups.ids.slice(0, count).map((id, g) => {
    let at = groups.offsets[g]!
    const take = (length: number): ReadonlyArray<number> => Array.from(groups.tokens.subarray(at, at += length))
    const shown = (
      ids: ReadonlyArray<number>,
      before: ReadonlyArray<number>,
      loss: boolean
    ): ReadonlyArray<PreviewToken> =>
      texts(ids, before, tokenizer).map((text, index) => ({
        id: ids[index]!,
        text,
        special: tokenizer.special.has(ids[index]!),
        loss
      }))
    const prompt = take(groups.promptLength[g]!)
    return {
      id,
      prompt: shown(prompt, [], false),
      branches: groups.sides.map((side, b) => {
        const ids = take(groups.branchLength[g * groups.sides.length + b]!)
        return { side, ended: tokenizer.special.has(ids.at(-1)!), tokens: shown(ids, prompt, true) }
      }),
      columns: Object.fromEntries(Object.entries(groups.columns).map(([name, values]) => [name, values[g]!]))
    }
  })
