// Python's `random.Random(seed).sample`, bit for bit: few-shot examples are drawn by it in lm-eval, so prompts are equal only
// if this is. MT19937 seeded by `init_by_array([seed])`. https://github.com/python/cpython/blob/main/Lib/random.py

/** Uniform unsigned 32-bit integers of MT19937. */
const twister = (seed: number): () => number => {
  const size = 624
  const state = new Uint32Array(size)
  state[0] = 19650218
  for (let i = 1; i < size; i++) state[i] = Math.imul(1812433253, state[i - 1]! ^ state[i - 1]! >>> 30) + i
  let i = 1
  for (let k = 0; k < size; k++) {
    state[i] = (state[i]! ^ Math.imul(state[i - 1]! ^ state[i - 1]! >>> 30, 1664525)) + seed
    if (++i === size) {
      state[0] = state[size - 1]!
      i = 1
    }
  }
  for (let k = 1; k < size; k++) {
    state[i] = (state[i]! ^ Math.imul(state[i - 1]! ^ state[i - 1]! >>> 30, 1566083941)) - i
    if (++i === size) {
      state[0] = state[size - 1]!
      i = 1
    }
  }
  state[0] = 0x80000000
  let at = size
  return () => {
    if (at === size) {
      for (let k = 0; k < size; k++) {
        const y = state[k]! & 0x80000000 | state[(k + 1) % size]! & 0x7fffffff
        state[k] = state[(k + 397) % size]! ^ y >>> 1 ^ (y & 1 ? 0x9908b0df : 0)
      }
      at = 0
    }
    let y = state[at++]!
    y ^= y >>> 11
    y ^= y << 7 & 0x9d2c5680
    y ^= y << 15 & 0xefc60000
    return (y ^ y >>> 18) >>> 0
  }
}

export interface PythonRandom {
  /** In [0, 1), 53 bits. */
  readonly random: () => number
  /** `sample(range(count), size)`. */
  readonly sample: (count: number, size: number) => ReadonlyArray<number>
}

/** `seed` below 2^32. */
export const pythonRandom = (seed: number): PythonRandom => {
  const draw = twister(seed)
  const below = (n: number): number => {
    const shift = Math.clz32(n)
    let r = draw() >>> shift
    while (r >= n) r = draw() >>> shift
    return r
  }
  return {
    random: () => ((draw() >>> 5) * 67108864 + (draw() >>> 6)) / 9007199254740992,
    sample: (count, size) => {
      if (size > count) throw new RangeError(`a sample of ${size} from ${count}`)
      let setSize = 21
      if (size > 5) setSize += 4 ** Math.ceil(Math.log(size * 3) / Math.log(4))
      if (count <= setSize) {
        const pool = Array.from({ length: count }, (_, i) => i)
        return Array.from({ length: size }, (_, i) => {
          const j = below(count - i)
          const picked = pool[j]!
          pool[j] = pool[count - i - 1]!
          return picked
        })
      }
      const picked = new Set<number>()
      while (picked.size < size) picked.add(below(count))
      return [...picked]
    }
  }
}
