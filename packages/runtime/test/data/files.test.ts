import type { BadFile } from "@penchant/dsl/Errors"
import type { TokenGroups } from "@penchant/runtime/compute/Batch"
import { previewRows } from "@penchant/runtime/data/preview"
import { readRows } from "@penchant/runtime/data/rows"
import { encodePairs, encodeRows, readPairs } from "@penchant/runtime/data/rowsFile"
import { encodeSafetensors } from "@penchant/runtime/data/safetensors"
import { tokenisePairs } from "@penchant/runtime/data/tokenise"
import { loadTokenizer } from "@penchant/runtime/data/tokenizer"
import {
  completionTokens,
  decodeLogProbs,
  decodeTokens,
  encodeLogProbs,
  encodeTokens,
  type TokensFiles
} from "@penchant/runtime/data/tokensFile"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "vitest"
import { minimind, normalised, rows, stories260K } from "./hh.ts"

const directory = mkdtempSync(join(tmpdir(), "files-"))
afterAll(() => rmSync(directory, { recursive: true }))
const write = (name: string, bytes: string | Uint8Array): string => {
  const path = join(directory, name)
  writeFileSync(path, bytes)
  return path
}
const problem = <A>(result: Result.Result<A, BadFile>): string => {
  if (Result.isSuccess(result)) throw new Error("decoded")
  assert.strictEqual(result.failure._tag, "BadFile")
  return result.failure.problem.replace("not a token file: ", "")
}

describe("rows and pairs", () => {
  it("come back as they were", async () => {
    assert.deepStrictEqual(await Effect.runPromise(readRows(write("rows.jsonl", encodeRows(rows)))), rows)
    const bytes = encodePairs(normalised.pairs)
    assert.deepStrictEqual(await Effect.runPromise(readPairs(write("pairs.jsonl", bytes))), normalised.pairs)
    const shuffled = normalised.pairs.map(({ chosen, columns, id, prompt, rejected }) => ({
      columns,
      rejected,
      chosen,
      prompt,
      id
    }))
    assert.deepStrictEqual(encodePairs(shuffled), bytes)
  })

  it("keeps messages and columns", async () => {
    const pair = {
      id: "a",
      prompt: [{ role: "user", content: "\u2028\n\ud83d\ude00" }],
      chosen: "b",
      rejected: "c",
      columns: { m: -0.1 }
    }
    assert.deepStrictEqual(await Effect.runPromise(readPairs(write("pairs.jsonl", encodePairs([pair])))), [pair])
  })

  it("refuses pairs that are none, and ids that come twice", async () => {
    const failure = async (text: string) => {
      const result = await Effect.runPromise(Effect.result(readPairs(write("pairs.jsonl", text))))
      if (Result.isSuccess(result)) throw new Error("read")
      return result.failure.message.replace(directory, "")
    }
    const line = JSON.stringify({ id: "x", prompt: "p", chosen: "a", rejected: "b", columns: {} })
    assert.strictEqual(
      await failure(`${line}\n${line}\n`),
      `/pairs.jsonl, row 1, field "id": "x" is the id of an earlier pair, row 0`
    )
    assert.strictEqual(
      await failure(line.replace(`"rejected":"b",`, "")),
      `/pairs.jsonl, row 0, field "rejected": Missing key`
    )
    assert.match(
      await failure(line.replace("{}", `{"m":"1"}`)),
      /^\/pairs.jsonl, row 0, field "columns.m": .*, got "1"$/
    )
  })
})

const groups: TokenGroups = {
  tokens: Int32Array.of(1, 10, 20, 21, 30, 1, 40, 50),
  offsets: Int32Array.of(0, 5, 8),
  promptLength: Int32Array.of(2, 1),
  branchLength: Int32Array.of(2, 1, 1, 1),
  sides: ["chosen", "rejected"],
  ids: ["a", "b"],
  columns: { margin: Float64Array.of(0.1, -3) }
}

describe("token files", () => {
  it("come back as they were, and equal groups give equal bytes", async () => {
    const files = encodeTokens(groups)
    assert.deepStrictEqual(Result.getOrThrow(decodeTokens(files, "t")), groups)
    assert.deepStrictEqual(encodeTokens({ ...groups }), files)
    const tokenizer = await Effect.runPromise(loadTokenizer(stories260K))
    const real = await Effect.runPromise(
      tokenisePairs(normalised.pairs.slice(0, 300), tokenizer, { maxLength: 384, truncation: "leftOfPrompt" })
    )
    assert.deepStrictEqual(Result.getOrThrow(decodeTokens(encodeTokens(real.groups), "t")), real.groups)
    const empty = await Effect.runPromise(tokenisePairs([], tokenizer, { maxLength: 384, truncation: "drop" }))
    assert.deepStrictEqual(Result.getOrThrow(decodeTokens(encodeTokens(empty.groups), "t")), empty.groups)
  })

  it.each<[string, Partial<TokenGroups>, string]>([
    [
      "offsets that are off by one",
      { offsets: Int32Array.of(0, 4, 8) },
      "group a has 5 tokens by its parts, 4 by its offsets"
    ],
    ["offsets that do not cover", { offsets: Int32Array.of(0, 5, 7) }, "offsets run from 0 to 7, tokens from 0 to 8"],
    ["too few prompts", { promptLength: Int32Array.of(2) }, "2 ids, but 1 prompts, 4 branches and 3 offsets"],
    [
      "an empty prompt",
      { promptLength: Int32Array.of(0, 1), branchLength: Int32Array.of(4, 1, 1, 1) },
      "group a has a part without tokens"
    ],
    ["an empty branch", { branchLength: Int32Array.of(3, 0, 1, 1) }, "group a has a part without tokens"],
    ["one id twice", { ids: ["a", "a"] }, "two groups have one id"],
    ["a negative token", { tokens: Int32Array.of(1, 10, -1, 21, 30, 1, 40, 50) }, "token 2 is -1"],
    ["a short column", { columns: { m: Float64Array.of(1) } }, `column "m" has 1 values for 2 groups`]
  ])("refuse %s", (_, change, expected) => {
    const wrong = { ...groups, ...change }
    const ids = new TextEncoder().encode(JSON.stringify(wrong.ids))
    const tensors = {
      tokens: { dtype: "I32", shape: [wrong.tokens.length], data: wrong.tokens },
      offsets: { dtype: "I32", shape: [wrong.offsets.length], data: wrong.offsets },
      promptLength: { dtype: "I32", shape: [wrong.promptLength.length], data: wrong.promptLength },
      branchLength: { dtype: "I32", shape: [wrong.branchLength.length], data: wrong.branchLength },
      ...Object.fromEntries(
        Object.entries(wrong.columns).map(([name, data]) =>
          [`column.${name}`, { dtype: "F64", shape: [data.length], data }] as const
        )
      )
    } as const
    const files = {
      "tokens.safetensors": encodeSafetensors(tensors, { sides: JSON.stringify(wrong.sides) }),
      "ids.json": ids
    }
    assert.strictEqual(problem(decodeTokens(files, "t")), expected)
  })

  it("refuse what is missing or of another type", () => {
    const files = encodeTokens(groups)
    const bad = (change: Partial<TokensFiles>) => problem(decodeTokens({ ...files, ...change }, "t"))
    assert.strictEqual(bad({ "ids.json": new TextEncoder().encode("[1]") }), "ids.json is no list of texts")
    assert.strictEqual(bad({ "ids.json": new Uint8Array(0) }), "ids.json is no list of texts")
    assert.match(bad({ "tokens.safetensors": files["tokens.safetensors"].slice(0, -1) }), /truncated/)
    const floats = { dtype: "F64", shape: [1], data: Float64Array.of(1) } as const
    assert.strictEqual(
      bad({ "tokens.safetensors": encodeSafetensors({ tokens: floats }) }),
      `there is no int32 tensor "tokens"`
    )
    const ints = { dtype: "I32", shape: [1], data: Int32Array.of(1) } as const
    const four = { tokens: ints, offsets: ints, promptLength: ints, branchLength: ints }
    assert.strictEqual(bad({ "tokens.safetensors": encodeSafetensors(four) }), "the metadata names no sides")
    assert.strictEqual(
      bad({ "tokens.safetensors": encodeSafetensors({ ...four, "column.m": ints }) }),
      `"column.m" is not float64`
    )
  })
})

describe("log-probability files", () => {
  it("hold one number for each completion token", () => {
    assert.strictEqual(completionTokens(groups), 5)
    const values = Float64Array.of(-1, -Math.PI, 0, -Infinity, -1e-300)
    assert.deepStrictEqual(Result.getOrThrow(decodeLogProbs(encodeLogProbs(values), 5, "l")), values)
    assert.strictEqual(
      problem(decodeLogProbs(encodeLogProbs(values), 6, "l")),
      "5 log-probabilities for 6 completion tokens"
    )
    assert.strictEqual(
      problem(
        decodeLogProbs(encodeSafetensors({ logProbs: { dtype: "F32", shape: [1], data: Float32Array.of(1) } }), 1, "l")
      ),
      `there is no float64 tensor "logProbs"`
    )
  })
})

describe("previewRows", () => {
  it("joins to the decoded whole, marks the loss and the special tokens", async () => {
    for (const [path, bos] of [[stories260K, true], [minimind, false]] as const) {
      const tokenizer = await Effect.runPromise(loadTokenizer(path))
      const odd = {
        id: "odd",
        prompt: "日本語 😀 and é",
        chosen: "x😀",
        rejected: "\u{1F468}\u200d\u{1F469} ok\n",
        columns: { m: 2 }
      }
      const real = normalised.pairs.slice(0, 20)
        .map(({ chosen, id, prompt, rejected }) => ({ id, prompt, chosen, rejected, columns: { m: 1 } }))
      const pairs = [odd, ...real]
      const { groups } = await Effect.runPromise(
        tokenisePairs(pairs, tokenizer, { maxLength: 1024, truncation: "drop" })
      )
      const shown = previewRows(groups, tokenizer, 10)
      assert.deepStrictEqual(shown.map(({ id }) => id), groups.ids.slice(0, 10))
      for (const [g, { branches, prompt }] of shown.entries()) {
        const all = Array.from(groups.tokens.subarray(groups.offsets[g]!, groups.offsets[g + 1]!))
        assert.deepStrictEqual([...prompt, ...branches.flatMap(({ tokens }) => tokens)].map(({ id }) => id), all)
        assert.strictEqual(prompt.map(({ text }) => text).join(""), tokenizer.decode(prompt.map(({ id }) => id)))
        assert.strictEqual(prompt[0]!.special, bos)
        assert.isFalse(prompt.some(({ loss }) => loss))
        assert.deepStrictEqual(branches.map(({ ended, side }) => [side, ended]), [["chosen", true], ["rejected", true]])
        for (const { tokens } of branches) {
          const ids = [...prompt, ...tokens].map(({ id }) => id)
          const text = [...prompt, ...tokens].map(({ text }) => text).join("")
          assert.strictEqual(text, tokenizer.decode(ids))
          assert.isTrue(tokens.every(({ loss }) => loss))
          assert.deepStrictEqual(
            tokens.map(({ special }) => special),
            tokens.map((_, index) => index === tokens.length - 1)
          )
        }
      }
      assert.deepStrictEqual(shown[0]!.columns, { m: 2 })
      assert.include(shown[0]!.branches[0]!.tokens.map(({ text }) => text).join(""), "x😀")
    }
  })
})
