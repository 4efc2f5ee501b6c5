// Batches cut into parts: each part is what packing its groups alone gives, and results find their way back.
import { assert, describe, it } from "@effect/vitest"
import { pack } from "../../src/compute/Batch.ts"
import { inputsOf, joinTokens, partsOf, tokensOf } from "../../src/compute/lanes/parts.ts"
import { random, tokenGroups } from "./fixtures.ts"

const groupsOf = (seed: number, count: number, branches: number) => {
  const next = random(seed)
  const tokens = () => Array.from({ length: 1 + Math.floor(9 * next() ** 2) }, () => Math.floor(next() * 23))
  return Array.from({ length: count }, () => ({ prompt: tokens(), branches: Array.from({ length: branches }, tokens) }))
}

describe("parts of a batch", () => {
  for (const [seed, count, branches, parts] of [[1, 8, 2, 2], [2, 5, 3, 2], [3, 4, 1, 4], [4, 2, 2, 4]] as const) {
    it(`${count} groups of ${branches} in ${parts}: each is its groups, packed`, () => {
      const data = tokenGroups(groupsOf(seed, count, branches))
      const chosen = Array.from({ length: count }, (_, g) => count - 1 - g)
      const batch = pack(data, chosen)
      const cut = partsOf(batch, parts)
      assert.strictEqual(cut.length, Math.min(parts, count))
      const seen = cut.flatMap(({ groups }) => groups)
      assert.deepStrictEqual(seen.toSorted((a, b) => a - b), chosen.toSorted((a, b) => a - b))
      for (const part of cut) {
        assert.isAtMost(part.groups.length, Math.ceil(count / cut.length))
        assert.deepStrictEqual(part.batch, pack(data, part.groups.map((g) => chosen[g]!)))
      }
      const values = Float64Array.from(batch.targets, (_, n) => n)
      assert.deepStrictEqual(joinTokens(cut, cut.map((part) => tokensOf(part, values))), values)
    })
  }

  it("one part is the batch itself", () => {
    const batch = pack(tokenGroups(groupsOf(5, 3, 2)), [0, 1, 2])
    const [only, ...more] = partsOf(batch, 1)
    assert.strictEqual(only!.batch, batch)
    assert.deepStrictEqual(more, [])
  })

  it("spreads long groups over the parts", () => {
    const lengths = [90, 5, 80, 5, 70, 5, 60, 5]
    const groups = lengths.map((length) => ({
      prompt: Array.from({ length }, () => 1),
      branches: [[1, 2]]
    }))
    const batch = pack(tokenGroups(groups), lengths.map((_, g) => g))
    const rows = partsOf(batch, 2).map(({ groups: g }) => g.reduce((sum, i) => sum + lengths[i]!, 0))
    assert.deepStrictEqual(rows, [160, 160])
  })

  it("shares out reference and columns", () => {
    const batch = pack(tokenGroups(groupsOf(6, 4, 2)), [0, 1, 2, 3])
    const reference = Float64Array.from(batch.targets, (_, n) => -n)
    const [first] = partsOf(batch, 2)
    const inputs = inputsOf(first!, { reference, columns: { weight: Float64Array.of(10, 11, 12, 13) }, scale: 0.25 })
    assert.deepStrictEqual(inputs.columns["weight"], Float64Array.from(first!.groups, (g) => 10 + g))
    assert.deepStrictEqual(inputs.reference, tokensOf(first!, reference))
    assert.strictEqual(inputs.scale, 0.25)
    assert.notProperty(inputsOf(first!, { columns: {}, scale: 1 }), "reference")
  })
})
