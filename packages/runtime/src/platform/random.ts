// Seeded randomness for the named streams of `Identity.seed`: the same seed gives the same numbers on every machine.

/** mulberry32 (public domain): 32 bits of state, one uniform unsigned 32-bit integer per call. */
export const random = (seed: number): () => number => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let x = Math.imul(state ^ (state >>> 15), state | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return (x ^ (x >>> 14)) >>> 0
  }
}

/** A uniform integer in [0, count) from one draw; the bias is below count / 2^32. */
export const below = (count: number, draw: () => number): number => Math.floor(draw() / 2 ** 32 * count)

/** [count] the numbers 0 .. count - 1 in the order of a Fisher-Yates shuffle from the end. */
export const permutation = (count: number, seed: number): Int32Array => {
  const order = Int32Array.from({ length: count }, (_, i) => i)
  const draw = random(seed)
  for (let i = count - 1; i > 0; i--) {
    const j = below(i + 1, draw)
    const kept = order[i]!
    order[i] = order[j]!
    order[j] = kept
  }
  return order
}
