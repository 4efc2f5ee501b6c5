import { contamination, overlaps } from "@penchant/runtime/data/overlap"
import { sharesOf } from "@penchant/runtime/data/shares"
import { assert, describe, it } from "vitest"

/** mulberry32 */
const random = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}

describe("overlaps", () => {
  const question = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May."

  it("finds thirteen words in a row, whatever their case and punctuation", () => {
    const { find, tooShort } = overlaps([{ id: "q", text: question }, { id: "short", text: "What is 2 + 2?" }])
    assert.deepStrictEqual(tooShort, ["short"])
    assert.deepStrictEqual(find(`Human: ${question.toUpperCase().replaceAll(",", " -")} Assistant:`), ["q"])
    // Words 3 to 15 of the question, and one word fewer.
    assert.deepStrictEqual(find("to 48 of her friends in april and then she sold half as"), ["q"])
    assert.deepStrictEqual(find("to 48 of her friends in april and then she sold half"), [])
    assert.deepStrictEqual(find("to 48 of her friends in april and then he sold half as many clips in may"), [])
    assert.deepStrictEqual(find("What is 2 + 2?"), [])
  })

  it("agrees with a search word by word, also where hashes repeat", () => {
    const draw = random(1)
    const text = (words: number) => Array.from({ length: words }, () => "abc"[Math.floor(draw() * 3)]!).join(" ")
    let hits = 0
    for (let round = 0; round < 200; round++) {
      const evaluation = Array.from({ length: 5 }, (_, id) => ({ id: `${id}`, text: text(4 + Math.floor(draw() * 8)) }))
      const training = text(30)
      const naive = evaluation.filter((one) => {
        const words = one.text.split(" ")
        return words.some((_, at) =>
          at + 6 <= words.length && ` ${training} `.includes(` ${words.slice(at, at + 6).join(" ")} `)
        )
      }).map(({ id }) => id)
      hits += naive.length
      assert.deepStrictEqual([...overlaps(evaluation, 6).find(training)].toSorted(), naive)
    }
    assert.isAbove(hits, 50)
  })

  it("says what part of an evaluation set the training text holds", () => {
    const { checked, found, texts } = contamination(
      [{ id: "a", text: "one two three four" }, { id: "b", text: "five six seven" }, { id: "c", text: "short" }],
      ["x one two three", "one two three", "six seven", "two three four", "one two three y", "z one two three"].map((
        text,
        id
      ) => ({ id: `${id}`, text })),
      3
    )
    assert.deepStrictEqual([texts, checked], [3, 2])
    assert.deepStrictEqual([...found], [["a", ["0", "1", "3"]]])
  })
})

describe("sharesOf", () => {
  const of = (...sources: ReadonlyArray<readonly [number, number]>) =>
    sources.map(([weight, has], index) => ({ name: `s${index}`, weight, has }))

  it("takes the largest mixture, or the count asked for", () => {
    assert.deepStrictEqual(sharesOf(of([0.7, 70], [0.3, 100])), [70, 30])
    assert.deepStrictEqual(sharesOf(of([2, 10], [1, 4])), [8, 4])
    assert.deepStrictEqual(sharesOf(of([0.7, 70], [0.3, 100]), 10), [7, 3])
    assert.deepStrictEqual(sharesOf(of([1, 5], [1, 5], [1, 5]), 10), [4, 3, 3])
    assert.deepStrictEqual(sharesOf(of([1, 9]), 9), [9])
  })

  it("says why there is none", () => {
    assert.strictEqual(
      sharesOf(of([1, 5], [1, 50]), 20),
      `20 examples need 10 of "s0", which has 5; at these weights 10 are the most`
    )
    assert.strictEqual(sharesOf(of([1, 5], [0, 5])), `"s1" has weight 0, which is not above 0`)
  })
})
