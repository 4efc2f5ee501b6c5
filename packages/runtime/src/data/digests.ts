// A set of texts that remembers 64 bits of each: a million texts take 16 MB, whatever their length. Two of a million
// different texts share 64 bits with probability 3e-8.
import { hash } from "node:crypto"

export interface Digests {
  readonly add: (text: string) => void
  readonly size: number
}

/** The first 64 bits of sha256, as two words. */
export const digest64 = (text: string): readonly [number, number] => {
  const bytes = hash("sha256", text, "buffer")
  return [bytes.readUInt32BE(0), bytes.readUInt32BE(4)]
}

/** A number in [0, 1) that a text decides: 53 bits of its sha256. */
export const unit = (text: string): number => {
  const [high, low] = digest64(text)
  return (high * 2 ** 21 + (low >>> 11)) / 2 ** 53
}

export const digests = (): Digests => {
  // Open addressing, at most four fifths full; [2 * slots], a slot of two zeros is empty.
  let table = new Uint32Array(2048)
  let size = 0
  const slotOf = (in_: Uint32Array, high: number, low: number): number => {
    const mask = in_.length / 2 - 1
    let slot = low & mask
    while ((in_[2 * slot] !== 0 || in_[2 * slot + 1] !== 0) && (in_[2 * slot] !== high || in_[2 * slot + 1] !== low)) {
      slot = (slot + 1) & mask
    }
    return 2 * slot
  }
  const put = (in_: Uint32Array, high: number, low: number): boolean => {
    const at = slotOf(in_, high, low)
    if (in_[at] !== 0 || in_[at + 1] !== 0) return false
    in_[at] = high
    in_[at + 1] = low
    return true
  }
  return {
    add: (text) => {
      if (!put(table, ...digest64(text))) return
      size += 1
      if (5 * size < 2 * table.length) return
      const grown = new Uint32Array(2 * table.length)
      for (let at = 0; at < table.length; at += 2) {
        if (table[at] !== 0 || table[at + 1] !== 0) put(grown, table[at]!, table[at + 1]!)
      }
      table = grown
    },
    get size() {
      return size
    }
  }
}
