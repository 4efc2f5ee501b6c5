import type { Example } from "@penchant/dsl/Pair"
import { encodePairs } from "@penchant/runtime/data/rowsFile"
import { tokenisePairs } from "@penchant/runtime/data/tokenise"
import { tokeniseFile } from "@penchant/runtime/data/tokeniseFile"
import { loadTokenizer } from "@penchant/runtime/data/tokenizer"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "vitest"
import { minimind, normalised, stories260K } from "./hh.ts"

const directory = mkdtempSync(join(tmpdir(), "tokenise-file-"))
afterAll(() => rmSync(directory, { recursive: true }))
const write = (examples: ReadonlyArray<Example>): string => {
  const file = join(directory, "pairs.jsonl")
  writeFileSync(file, encodePairs(examples))
  return file
}
const stories = await Effect.runPromise(loadTokenizer(stories260K))
const chatty = await Effect.runPromise(loadTokenizer(minimind))
const options = { maxLength: 300, truncation: "endOfAnswer" } as const

describe("tokeniseFile", () => {
  it("gives what one thread gives, whoever made it: every token, and every line of the report", async () => {
    const pairs = normalised.pairs.slice(0, 600)
    const expected = await Effect.runPromise(tokenisePairs(pairs, stories, options))
    assert.isAbove(Object.keys(expected.report.dropped).length, 0)
    for (const threads of [undefined, 2]) {
      assert.deepStrictEqual(await Effect.runPromise(tokeniseFile(write(pairs), stories, options, threads)), expected)
    }
  })

  it("names the first row that cannot be tokenised, though later ones fail too", async () => {
    const pairs = normalised.pairs.slice(0, 600).map(({ id, ...pair }, index): Example =>
      Object.assign(pair, { id, columns: index === 400 || index > 550 ? {} : { margin: index } })
    )
    const cut = { maxLength: 10_000, truncation: "drop" } as const
    for (const threads of [0, 2]) {
      const result = await Effect.runPromise(Effect.result(tokeniseFile(write(pairs), stories, cut, threads)))
      if (Result.isSuccess(result)) throw new Error("tokenised")
      assert.strictEqual(result.failure._tag, "BadTokens")
      assert.strictEqual(result.failure.message, `row ${pairs[400]!.id}: has no column "margin"`)
    }
  })

  it("passes on what the template and the file lack", async () => {
    const failure = async (file: string) => {
      const result = await Effect.runPromise(Effect.result(tokeniseFile(file, chatty, options, 1)))
      if (Result.isSuccess(result)) throw new Error("tokenised")
      return `${result.failure._tag} ${result.failure.message.replace(directory, "")}`
    }
    const odd = { id: "7", prompt: [{ role: "user", content: "a" }], chosen: "b", rejected: "c", columns: {} }
    const file = write([odd])
    assert.strictEqual((await Effect.runPromise(tokeniseFile(file, chatty, options, 1))).report.kept, 1)
    writeFileSync(file, `${JSON.stringify(odd)}\n{"id":"8"}\n`)
    assert.match(await failure(file), /^BadRow \/pairs.jsonl, row 1/)
    writeFileSync(file, `${JSON.stringify(odd)}\n${JSON.stringify(odd)}\n`)
    assert.match(await failure(file), /^BadRow \/pairs.jsonl, row 1, field "id": "7" is the id of an earlier pair/)
  })

  it("stops its threads when it is interrupted", async () => {
    const fiber = Effect.runFork(tokeniseFile(write(normalised.pairs), stories, options, 2))
    await new Promise((resolve) => setTimeout(resolve, 50))
    fiber.interruptUnsafe()
    const exit = await new Promise<{ readonly _tag: string }>((done) => fiber.addObserver(done))
    assert.strictEqual(exit._tag, "Failure")
  })
})
