// Remembers how a tokenizer's model splits a word. Words repeat, and the library spends most of its time on merges.
// Exact by construction: on a miss the library's own code runs, on the same piece it would see.
import type { LibraryModel } from "./libraryTokenizer.ts"

/** Words kept; the whole cache is emptied when full, since a word that matters comes back at once. */
const capacity = 200_000
/** Longer pieces are rare and not worth keeping. */
const longest = 64

/**
 * Whether a piece may be cut in front of each "▁" that follows another character, before merging: when no merge makes a
 * token with "▁" in such a place. A merge across the cut would have to make one, so none crosses it, and merges on the
 * two sides do not see each other. Without the cut, a tokenizer that has no pre-tokenizer takes a whole text for one word.
 */
const cutsAtSpaces = ({ config }: LibraryModel): boolean =>
  config.type === "BPE" && !config.end_of_word_suffix && !config.continuing_subword_suffix &&
  config.ignore_merges !== true &&
  (config.merges ?? []).every((merge) =>
    !/[^▁]▁/u.test(typeof merge === "string" ? merge.replace(" ", "") : merge.join(""))
  )

/** Puts the cache in front of the model of a tokenizer. */
export const cacheWords = (model: LibraryModel): void => {
  const encode = model.encode.bind(model)
  const cut = cutsAtSpaces(model) ? /(?<=[^▁])(?=▁)/u : undefined
  const cache = new Map<string, ReadonlyArray<string>>()
  model.encode = (words) => {
    const out: Array<string> = []
    for (const word of words) {
      for (const piece of cut === undefined ? [word] : word.split(cut)) {
        let tokens = cache.get(piece)
        if (tokens === undefined) {
          tokens = encode([piece])
          if (piece.length <= longest) {
            if (cache.size >= capacity) cache.clear()
            cache.set(piece, tokens)
          }
        }
        for (const token of tokens) out.push(token)
      }
    }
    return out
  }
}
