// Whether training text contains evaluation text: n consecutive words in common, whatever their case and punctuation.
// Thirteen words are what GPT-3's authors looked for (https://arxiv.org/abs/2005.14165, appendix C). Leaves out files.

export interface Text {
  readonly id: string
  readonly text: string
}

/** Words as they are compared: letters and digits, lower case. */
const wordsOf = (text: string): ReadonlyArray<string> => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []

/** 32 bits of a word, FNV-1a over its UTF-16 units. */
const hashOf = (word: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193)
  return hash
}

const base = 0x2c1b3c6d

/** Calls `see` with the hash of every run of n words and where it starts; the hash rolls over mod 2^32. */
const eachGram = (words: ReadonlyArray<string>, n: number, see: (hash: number, at: number) => void): void => {
  let top = 1
  for (let i = 1; i < n; i++) top = Math.imul(top, base)
  const hashes = words.map(hashOf)
  let hash = 0
  for (let i = 0; i < words.length; i++) {
    if (i >= n) hash = (hash - Math.imul(hashes[i - n]!, top)) | 0
    hash = (Math.imul(hash, base) + hashes[i]!) | 0
    if (i >= n - 1) see(hash, i - n + 1)
  }
}

export interface Overlaps {
  /** Ids of the evaluation texts that share n consecutive words with a text. */
  readonly find: (text: string) => ReadonlyArray<string>
  /** Ids of evaluation texts with fewer than n words, which are not looked for. */
  readonly tooShort: ReadonlyArray<string>
}

/** The runs of n words of an evaluation set, to look training texts up in. Every match is compared word by word. */
export const overlaps = (evaluation: Iterable<Text>, n = 13): Overlaps => {
  const texts: Array<{ readonly id: string; readonly words: ReadonlyArray<string> }> = []
  const tooShort: Array<string> = []
  // Entries of one hash form a list: `first` by hash, `next` by entry; an entry is a text and a position in it.
  const first = new Map<number, number>()
  const [entryText, entryAt, next]: [Array<number>, Array<number>, Array<number>] = [[], [], []]
  for (const { id, text } of evaluation) {
    const words = wordsOf(text)
    if (words.length < n) tooShort.push(id)
    eachGram(words, n, (hash, at) => {
      next.push(first.get(hash) ?? -1)
      first.set(hash, entryText.length)
      entryText.push(texts.length)
      entryAt.push(at)
    })
    texts.push({ id, words })
  }
  const same = (a: ReadonlyArray<string>, i: number, b: ReadonlyArray<string>, j: number): boolean => {
    for (let k = 0; k < n; k++) if (a[i + k] !== b[j + k]) return false
    return true
  }
  return {
    tooShort,
    find: (text) => {
      const words = wordsOf(text)
      const found = new Set<string>()
      eachGram(words, n, (hash, at) => {
        for (let entry = first.get(hash) ?? -1; entry !== -1; entry = next[entry]!) {
          const { id, words: of } = texts[entryText[entry]!]!
          if (!found.has(id) && same(of, entryAt[entry]!, words, at)) found.add(id)
        }
      })
      return [...found]
    }
  }
}

export interface Contamination {
  /** Evaluation texts, and how many of them were long enough to be looked for. */
  readonly texts: number
  readonly checked: number
  /** Evaluation text -> the first training texts that contain n of its words in a row, at most three. */
  readonly found: ReadonlyMap<string, ReadonlyArray<string>>
}

/** Which texts of an evaluation set occur in training text, both with ids of their own. */
export const contamination = (evaluation: ReadonlyArray<Text>, training: Iterable<Text>, n = 13): Contamination => {
  const { find, tooShort } = overlaps(evaluation, n)
  const found = new Map<string, Array<string>>()
  for (const { id, text } of training) {
    for (const hit of find(text)) {
      const by = found.get(hit)
      if (by === undefined) found.set(hit, [id])
      else if (by.length < 3) by.push(id)
    }
  }
  return { texts: evaluation.length, checked: evaluation.length - tooShort.length, found }
}
