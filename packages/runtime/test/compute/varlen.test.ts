// The arrangement of a micro-batch for flash attention over sequences: computed that way in float64, it is the attention
// that the reference kernel computes block by block.
import { assert, describe, it } from "@effect/vitest"
import { kernel } from "../../src/compute/operations/attention.ts"
import { blocksOf } from "../../src/compute/reference/blocks.ts"
import { floats, type Tensor } from "../../src/compute/reference/Tensor.ts"
import { sequencesOf } from "../../src/compute/torch/varlenAttention.ts"
import { random } from "./fixtures.ts"

/** Bottom right: query j of n sees keys up to k - n + j, with a window the last of them. One head. */
const bySequences = (
  { q, k, v }: Record<"q" | "k" | "v", Float64Array>,
  { keyEnds, keyRows, queryEnds }: ReturnType<typeof sequencesOf>,
  width: number,
  window: number
): Float64Array => {
  const y = new Float64Array(q.length)
  for (let s = 0; s + 1 < queryEnds.length; s++) {
    const rows = keyRows.subarray(keyEnds[s]!, keyEnds[s + 1]!)
    const [first, end] = [queryEnds[s]!, queryEnds[s + 1]!]
    for (let row = first; row < end; row++) {
      const last = rows.length - end + row
      const seen = rows.subarray(Math.max(0, last + 1 - window), last + 1)
      const weights = Array.from(seen, (key) => {
        let sum = 0
        for (let d = 0; d < width; d++) sum += q[row * width + d]! * k[key * width + d]!
        return Math.exp(sum)
      })
      const total = weights.reduce((a, b) => a + b)
      seen.forEach((key, i) => {
        for (let d = 0; d < width; d++) y[row * width + d]! += weights[i]! / total * v[key * width + d]!
      })
    }
  }
  return y
}

describe("sequences for flash attention", () => {
  it("join a prompt with the branch behind it, and copy it before the others", () => {
    // a group with a prompt of 2 and branches of 3 and 1, then one with a prompt of 1, no branch, and one of 2
    const segments = Int32Array.of(2, 3, 1, 1, 0, 2)
    const plan = sequencesOf(blocksOf(segments, 2, 9))
    assert.deepStrictEqual([...plan.queryEnds], [0, 5, 6, 9])
    assert.deepStrictEqual([...plan.keyEnds], [0, 5, 8, 11])
    assert.deepStrictEqual([...plan.keyRows], [0, 1, 2, 3, 4, 0, 1, 5, 6, 7, 8])
    assert.deepStrictEqual([plan.mostQueries, plan.mostKeys], [5, 5])
    // Of the prompts the last row alone asks; what is seen stays the same.
    const predicting = sequencesOf(blocksOf(segments, 2, 8))
    assert.deepStrictEqual([...predicting.queryEnds], [0, 4, 5, 8])
    assert.deepStrictEqual([predicting.keyEnds, predicting.keyRows], [plan.keyEnds, plan.keyRows])
    assert.deepStrictEqual([predicting.mostQueries, predicting.mostKeys], [4, 5])
  })

  for (let seed = 0; seed < 12; seed++) {
    it(`give the reference's attention, seed ${seed}`, () => {
      const next = random(seed)
      const [groups, branches, width] = [1 + seed % 3, 1 + seed % 4, 3]
      const segments = Int32Array.from(
        { length: groups * (1 + branches) },
        (_, s) => s % (1 + branches) === 0 ? 1 + Math.floor(6 * next()) : Math.floor(5 * next())
      )
      const rows = segments.reduce((a, b) => a + b)
      const tensor = () => {
        const made = floats([rows, width])
        made.data.forEach((_, i) => (made.data[i] = next() - 0.5))
        return made
      }
      const [q, k, v] = [tensor(), tensor(), tensor()]
      const window = seed % 2 === 0 ? undefined : 1 + Math.floor(4 * next())
      const attributes = { heads: 1, kvHeads: 1, headDim: width, scale: 1, window }
      const attention = (q: Tensor) =>
        kernel(
          { q, k, v, segments: { ...floats([0]), ints: segments } },
          attributes,
          { G: groups } as Parameters<typeof kernel>[2]
        ).y.data
      const inSequences = (q: Tensor) => {
        const plan = sequencesOf(blocksOf(segments, groups, q.shape[0]!))
        return bySequences({ q: q.data, k: k.data, v: v.data }, plan, width, window ?? Infinity)
      }
      const y = attention(q)
      inSequences(q).forEach((value, i) => assert.closeTo(value, y[i]!, 1e-12))
      // Each prompt's last row and the branches' give what they give among all.
      let row = 0
      const asking = [...segments].flatMap((own, s) => {
        const all = Array.from({ length: own }, () => row++)
        return s % (1 + branches) === 0 ? all.slice(-1) : all
      })
      const of = (x: Float64Array) =>
        Float64Array.from(asking.flatMap((at) => [...x.subarray(at * width, at * width + width)]))
      const some = floats([asking.length, width], of(q.data))
      assert.deepStrictEqual(attention(some), of(y))
      inSequences(some).forEach((value, i) => assert.closeTo(value, of(y)[i]!, 1e-12))
    })
  }
})
