import { describe, expect, it } from "vitest"
import { clusters, coinciding, spread } from "../../src/report/labels.ts"

describe("spread", () => {
  it("leaves apart what is apart", () => {
    expect(spread([5, 1, 9], 2, 0, 10)).toEqual([5, 1, 9])
  })
  it("moves neighbours apart evenly about where they were", () => {
    expect(spread([5, 5.5], 2, 0, 10)).toEqual([4.25, 6.25])
    expect(spread([1, 4, 4.5, 5, 9], 1, 0, 10)).toEqual([1, 3.5, 4.5, 5.5, 9])
  })
  it("stacks equals downwards: the first on top", () => {
    expect(spread([3, 3, 3], 1, 0, 10)).toEqual([4, 3, 2])
  })
  it("stays inside", () => {
    expect(spread([9.8, 9.9], 2, 0, 10)).toEqual([8, 10])
    expect(spread([0.1, 0.2], 2, 0, 10)).toEqual([0, 2])
  })
  it("keeps order and gaps for any positions that fit", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const positions = Array.from({ length: 7 }, (_, i) => Math.abs(Math.sin(seed * 31 + i * 17)) * 100)
      const placed = spread(positions, 8, 0, 100)
      const order = positions.map((_, i) => i).toSorted((a, b) => positions[a]! - positions[b]!)
      order.slice(1).forEach((index, rank) => {
        expect(placed[index]! - placed[order[rank]!]!).toBeGreaterThanOrEqual(8 - 1e-9)
      })
      expect(Math.min(...placed)).toBeGreaterThanOrEqual(0)
      expect(Math.max(...placed)).toBeLessThanOrEqual(100 + 1e-9)
    }
  })
})

describe("coinciding", () => {
  it("groups curves that lie on one another at every point", () => {
    expect(coinciding([[0, 1], [0, 2], [0, 1.01], [0]], 0.05)).toEqual([[0, 2], [1], [3]])
  })
})

describe("clusters", () => {
  it("puts ends whose names would touch in one column", () => {
    const end = (name: string, x: number, y: number) => ({ name, colour: 0, x, y })
    const groups = clusters([end("a", 0, 0), end("b", 1, 0.5), end("c", 9, 0), end("d", 1, 5)], 3, 1)
    expect(groups.map((group) => group.map(({ name }) => name))).toEqual([["d"], ["b", "a"], ["c"]])
  })
})
