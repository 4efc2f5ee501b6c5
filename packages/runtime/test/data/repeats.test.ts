// Texts that repeat, found in bounded memory: the same as a map of all of them finds, whether or not a file was needed.
import { repeats } from "@penchant/runtime/data/repeats"
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, assert, beforeEach, describe, it } from "vitest"

describe("repeats", () => {
  let directory = ""
  const { TMPDIR } = process.env
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "repeats-"))
    process.env["TMPDIR"] = directory
  })
  afterEach(() => {
    if (TMPDIR === undefined) delete process.env["TMPDIR"]
    else process.env["TMPDIR"] = TMPDIR
    rmSync(directory, { recursive: true, force: true })
  })

  const found = (texts: ReadonlyArray<string>) => {
    const seen = repeats()
    try {
      for (const [index, text] of texts.entries()) seen.add(index, text)
      return seen.finish()
    } finally {
      seen.close()
    }
  }
  const expected = (texts: ReadonlyArray<string>) => {
    const first = new Map<string, number>()
    return texts.flatMap((text, index) => {
      const before = first.get(text)
      if (before === undefined) first.set(text, index)
      return before === undefined ? [] : [{ index, first: before }]
    })
  }

  it("names each with the first that it repeats, in order", () => {
    assert.deepStrictEqual(found(["a", "b", "a", "", "b", "a", ""]), [
      { index: 2, first: 0 },
      { index: 4, first: 1 },
      { index: 5, first: 0 },
      { index: 6, first: 3 }
    ])
    assert.deepStrictEqual(found([]), [])
  })

  it("finds in a file what it would find in memory, and leaves no file", () => {
    // 120,000 texts are three times what fits without a file; texts of one kind fill one partition alone.
    const texts = Array.from({ length: 120_000 }, (_, i) => i % 3 === 0 ? "all one" : `text ${(i * 7919) % 70_000}`)
    assert.deepStrictEqual(found(texts), expected(texts))
    assert.deepStrictEqual(readdirSync(directory), [])
  })

  it("says so when there is no place for the file", () => {
    // One full block, which is written at the end; and as many as are written at once.
    for (const length of [170, 64 * 170]) {
      rmSync(directory, { recursive: true, force: true })
      const texts = Array.from({ length }, () => "one partition")
      assert.throws(() => found(texts), /looking for repeats: ENOENT/)
      mkdirSync(directory)
      assert.lengthOf(found(texts), length - 1)
    }
  })
})
