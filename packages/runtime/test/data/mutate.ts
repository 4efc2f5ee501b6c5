// Damage to files, by a seed: what a broken download, a full disk, a bad merge or a wrong tool leaves.

/** mulberry32: numbers in [0, 1) that a seed decides. */
export const random = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}

type Draw = () => number
const below = (draw: Draw, count: number): number => Math.floor(draw() * count)

/** Bytes that formats count, end or escape with, more often than by chance. */
const telling = [0, 1, 0x0a, 0x22, 0x2c, 0x5b, 0x5c, 0x5d, 0x7b, 0x7d, 0x7f, 0x80, 0xff]

const damages: ReadonlyArray<(bytes: Buffer, draw: Draw) => Buffer> = [
  (bytes, draw) => bytes.subarray(0, below(draw, bytes.length)),
  (bytes, draw) => {
    const out = Buffer.from(bytes)
    out[below(draw, out.length)]! ^= 1 << below(draw, 8)
    return out
  },
  (bytes, draw) => {
    const out = Buffer.from(bytes)
    for (let i = 0; i <= below(draw, 8); i++) out[below(draw, out.length)] = telling[below(draw, telling.length)]!
    return out
  },
  (bytes, draw) => {
    const at = below(draw, bytes.length)
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + below(draw, 40)))])
  },
  (bytes, draw) => {
    const at = below(draw, bytes.length)
    const more = Buffer.from(Array.from({ length: 1 + below(draw, 20) }, () => telling[below(draw, telling.length)]!))
    return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)])
  },
  (bytes, draw) => {
    const [from, to, length] = [below(draw, bytes.length), below(draw, bytes.length), 1 + below(draw, 64)]
    const out = Buffer.from(bytes)
    bytes.copy(out, to, from, from + length)
    return out
  }
]

/** The file after one kind of damage, the same for the same seed. */
export const damaged = (bytes: Uint8Array, seed: number): Buffer => {
  const draw = random(seed)
  return damages[below(draw, damages.length)]!(Buffer.from(bytes), draw)
}

const others: ReadonlyArray<unknown> = [null, true, -1, 1e308, "", "x", [], {}, [null], { type: "x" }, [["a", "b"]]]

/** JSON with one value, anywhere in it, replaced by another kind of value or left out. */
export const misshapen = (value: unknown, seed: number): unknown => {
  const draw = random(seed)
  const copy: unknown = structuredClone(value)
  const places: Array<readonly [Record<string, unknown>, string]> = []
  const visit = (at: unknown, depth: number): void => {
    if (typeof at !== "object" || at === null || depth > 5) return
    const keys = Object.keys(at)
    // Of long lists (a vocabulary) a few places stand for all.
    for (const key of keys.length > 40 ? keys.filter((_, i) => i % Math.ceil(keys.length / 10) === 0) : keys) {
      places.push([at as Record<string, unknown>, key])
      visit((at as Record<string, unknown>)[key], depth + 1)
    }
  }
  visit(copy, 0)
  const [parent, key] = places[below(draw, places.length)]!
  const other = others[below(draw, others.length + 1)]
  if (other === undefined) delete parent[key]
  else parent[key] = structuredClone(other)
  return copy
}
