// Byte-level BPE (GPT-2, Pythia, Llama 3, Qwen) as fast as a map of words: the library's steps in the library's order,
// but a word that was seen before gives its ids at once, without its bytes spelt out, merged and looked up again.
// Exact by construction: words are cut by the library's own patterns, and a new word goes through its own model.
import type { LibraryTokenizer } from "./libraryTokenizer.ts"

/** Words kept; emptied when full, since a word that matters comes back at once. */
const capacity = 200_000
/** Longer words are rare and not worth keeping. */
const longest = 64
/** Characters of sections kept: those of a conversation come again in the prompt alone and with each answer. */
const sectionCapacity = 1_000_000

/** Steps before the model, of which the last must spell words as bytes; undefined when it is another kind. */
const stagesOf = ({ pre_tokenizer: first }: LibraryTokenizer) => {
  const stages = first?.tokenizers ?? [first]
  const last = stages.at(-1)
  return last?.byte_encoder === undefined || last.add_prefix_space === true || stages.includes(null)
    ? undefined
    : stages
}

/** Encodes without special tokens of the tokenizer's own; undefined for tokenizers that this is not for. */
export const byteLevelEncoder = (library: LibraryTokenizer): ((text: string) => Array<number>) | undefined => {
  const { added_tokens, added_tokens_map, model, normalizer, splitter_normalized, splitter_unnormalized } = library
  const stages = stagesOf(library)
  if (
    stages === undefined || model.config.type !== "BPE" || model.fuse_unk || library.remove_space === true ||
    library.do_lowercase_and_remove_accent || added_tokens.some(({ lstrip, rstrip }) => lstrip || rstrip)
  ) return undefined
  const spelling = stages.at(-1)!
  const before = stages.slice(0, -1)
  const cache = new Map<string, ReadonlyArray<number>>()
  const utf8 = new TextEncoder()

  const idsOf = (word: string): ReadonlyArray<number> => {
    const known = cache.get(word)
    if (known !== undefined) return known
    const spelt = Array.from(utf8.encode(word), (byte) => spelling.byte_encoder![byte]).join("")
    const ids = model.encode([spelt]).map((token) => model.tokens_to_ids.get(token) ?? model.unk_token_id ?? -1)
    if (word.length <= longest) {
      if (cache.size >= capacity) cache.clear()
      cache.set(word, ids)
    }
    return ids
  }
  const cut = (text: string): ReadonlyArray<string> =>
    spelling.use_regex === true ? text.match(spelling.pattern!) ?? [] : [text]
  const wordsOf = (text: string): ReadonlyArray<string> =>
    before.length === 0
      ? cut(text)
      : before.reduce<ReadonlyArray<string>>((words, stage) => stage!.pre_tokenize(words, {}), [text]).flatMap(cut)
  const encode = (section: string): Array<number> => {
    const out: Array<number> = []
    for (const part of splitter_normalized.split(normalizer === null ? section : normalizer(section))) {
      const token = added_tokens_map.get(part)
      if (token !== undefined) out.push(token.id)
      else for (const word of wordsOf(part)) for (const id of idsOf(word)) out.push(id)
    }
    return out
  }
  const sections = new Map<string, ReadonlyArray<number>>()
  let kept = 0
  const remembered = (section: string): ReadonlyArray<number> => {
    const known = sections.get(section)
    if (known !== undefined) return known
    const ids = encode(section)
    if (kept > sectionCapacity) {
      sections.clear()
      kept = 0
    }
    sections.set(section, ids)
    kept += section.length
    return ids
  }
  return (text) => {
    const parts = splitter_unnormalized.split(text)
    if (parts.length === 1 && !added_tokens_map.has(text)) return encode(text)
    const out: Array<number> = []
    for (const section of parts) {
      const token = added_tokens_map.get(section)
      if (token !== undefined) out.push(token.id)
      else for (const id of remembered(section)) out.push(id)
    }
    return out
  }
}
