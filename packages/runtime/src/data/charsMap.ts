// SentencePiece's precompiled map of characters: a double-array trie over UTF-8 bytes whose leaves point into a list of
// replacements. The longest prefix that the trie knows is replaced, one character that it does not know is kept.
// Layout: the trie's length in bytes, its units of 32 bits, then the replacements, each ended by a zero byte.

const utf8 = new TextDecoder()

/** `text` as the map writes it. Throws a RangeError when the map is not one. */
export const charsMap = (map: Uint8Array): (text: string) => string => {
  if (map.length === 0) return (text) => text
  const view = new DataView(map.buffer, map.byteOffset, map.byteLength)
  const size = map.length < 4 ? NaN : view.getUint32(0, true)
  if (!(size % 4 === 0 && size > 0 && 4 + size <= map.length)) {
    throw new RangeError("its map of characters is malformed")
  }
  const units = Uint32Array.from({ length: size / 4 }, (_, index) => view.getUint32(4 + 4 * index, true))
  const replacements = map.subarray(4 + size)

  const hasLeaf = (unit: number): boolean => ((unit >>> 8) & 1) === 1
  const valueOf = (unit: number): number => unit & 0x7fffffff
  /** Also holds the bit that says "no label": a unit of a value never equals a byte. */
  const labelOf = (unit: number): number => (unit & 0x800000ff) >>> 0
  const offsetOf = (unit: number): number => ((unit >>> 10) << ((unit & 0x200) >>> 6)) >>> 0

  /** Length in bytes of the longest key at `at`, and where its replacement starts; 0 bytes when there is none. */
  const longest = (bytes: Uint8Array, at: number): readonly [length: number, replacement: number] => {
    let found: readonly [number, number] = [0, 0]
    let node = offsetOf(units[0]!)
    for (let i = at; i < bytes.length; i++) {
      node ^= bytes[i]!
      const unit = units[node]
      if (unit === undefined || labelOf(unit) !== bytes[i]) break
      node ^= offsetOf(unit)
      const leaf = hasLeaf(unit) ? units[node] : undefined
      if (leaf !== undefined) found = [i + 1 - at, valueOf(leaf)]
    }
    return found
  }

  return (text) => {
    const bytes = Buffer.from(text, "utf8")
    const out: Array<Uint8Array> = []
    for (let at = 0; at < bytes.length;) {
      const [length, replacement] = longest(bytes, at)
      if (length > 0) {
        const end = replacements.indexOf(0, replacement)
        out.push(replacements.subarray(replacement, end === -1 ? undefined : end))
        at += length
      } else {
        const byte = bytes[at]!
        const width = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
        out.push(bytes.subarray(at, at + width))
        at += width
      }
    }
    return utf8.decode(Buffer.concat(out))
  }
}
