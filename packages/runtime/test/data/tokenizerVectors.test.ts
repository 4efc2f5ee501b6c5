// Every reference tokenizer, id for id, and SentencePiece models in particular.
import { Tokenizer as Library } from "@huggingface/tokenizers"
import { loadTokenizer } from "@penchant/runtime/data/tokenizer"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "vitest"
import { normalised, reference } from "./hh.ts"
import { tokenizerFolders, type TokenizerName } from "./tokenizerFolders.ts"

const { directory, folders } = tokenizerFolders()
afterAll(() => rmSync(directory, { recursive: true }))
const load = (folder: string) => Effect.runPromise(loadTokenizer(folder))
const failure = async (folder: string) => {
  const result = await Effect.runPromise(Effect.result(loadTokenizer(folder)))
  if (Result.isSuccess(result)) throw new Error("loaded")
  return result.failure
}

interface Vector {
  readonly tokenizer: TokenizerName
  readonly text: string
  readonly ids: ReadonlyArray<number>
  readonly ids_no_special: ReadonlyArray<number>
  readonly decoded: string
}
const vectors = readFileSync(reference("tokenizers/vectors.jsonl"), "utf8").trim().split("\n")
  .map((line) => JSON.parse(line) as Vector)
const names = [...new Set(vectors.map(({ tokenizer }) => tokenizer))]

describe("reference vectors", () => {
  it.each(names)("%s", async (name) => {
    const { decode, encode } = await load(folders[name])
    const mine = vectors.filter(({ tokenizer }) => tokenizer === name)
    assert.strictEqual(mine.length, 32)
    for (const { decoded, ids, ids_no_special, text } of mine) {
      assert.deepStrictEqual(encode(text, true), ids, text)
      assert.deepStrictEqual(encode(text, false), ids_no_special, text)
      assert.strictEqual(decode(ids, true), decoded)
    }
    assert.strictEqual(decode([]), "")
  })

  it("are of all six", () => assert.strictEqual(names.length, 6))
})

describe("byte-level words", () => {
  const json = (folder: string, file: string): Record<string, unknown> =>
    JSON.parse(readFileSync(join(folder, file), "utf8"))
  const texts = normalised.pairs.slice(0, 40).flatMap(({ chosen, prompt }) => [
    String(prompt),
    `${String(chosen)}<|endoftext|>  \u{1f600}e\u0301${" ".repeat(30)}x\n\n 12345`
  ]).concat(vectors.map(({ text }) => text))

  /** How many ids there are, all of them the library's. */
  const same = async (folder: string): Promise<number> => {
    let count = 0

    const plain = new Library(json(folder, "tokenizer.json"), json(folder, "tokenizer_config.json"))
    const { encode } = await load(folder)
    for (const text of texts) {
      const expected = plain.encode(text, { add_special_tokens: false }).ids
      assert.deepStrictEqual(encode(text, false), expected, text)
      assert.deepStrictEqual(encode(text, false), expected, "a second time, from the map of words")
      count += expected.length
    }
    return count
  }

  it.each(["gpt2", "pythia", "minimind"] as const)("of %s are the library's", async (name) => {
    assert.isAbove(await same(folders[name]), 8000)
  })

  it("are the library's where several steps cut them, as in Llama 3 and Qwen", async () => {
    const folder = join(directory, "sequence")
    mkdirSync(folder)
    const pattern =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    const steps = [
      { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false }
    ]
    const tokenizer = {
      ...json(folders.gpt2, "tokenizer.json"),
      pre_tokenizer: { type: "Sequence", pretokenizers: steps }
    }
    writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer))
    copyFileSync(join(folders.gpt2, "tokenizer_config.json"), join(folder, "tokenizer_config.json"))
    assert.isAbove(await same(folder), 8000)
  })
})

describe("a SentencePiece model", () => {
  const mistral = folders["mistral-v1"]
  const beside = (name: string, config: object | undefined, model: Uint8Array | undefined): string => {
    const folder = join(directory, name)
    mkdirSync(folder)
    if (model !== undefined) writeFileSync(join(folder, "tokenizer.model"), model)
    if (config !== undefined) writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(config))
    return folder
  }
  const bytes = readFileSync(join(mistral, "tokenizer.model"))

  it("finds control tokens in text beside a config, and adds BOS as it says", async () => {
    const config = { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>", add_bos_token: true }
    const { bos, decode, encode, eos, special, textHasBos } = await load(beside("config", config, bytes))
    // The ids that Mistral's own documentation gives for a turn of its instruct format.
    assert.deepStrictEqual(encode("<s>[INST] hi [/INST]", false), [
      1,
      733,
      16289,
      28793,
      12014,
      733,
      28748,
      16289,
      28793
    ])
    assert.deepStrictEqual(encode("hi", true), [1, 12014])
    assert.deepStrictEqual([bos, eos, textHasBos, [...special]], [1, 2, true, [0, 1, 2]])
    assert.strictEqual(decode([1, 12014, 2]), "<s> hi</s>")
    assert.strictEqual(decode([1, 12014, 2], true), "hi")
    const silent = await load(beside("silent", { ...config, add_bos_token: false }, bytes))
    assert.deepStrictEqual([silent.encode("hi", true), silent.textHasBos], [[12014], false])
  })

  it("knows its special tokens without one, as ordinary text", async () => {
    const { bos, encode, eos, piece, special, vocabSize } = await load(mistral)
    assert.deepStrictEqual([bos, eos, [...special], vocabSize, piece(2)], [1, 2, [0, 1, 2], 32_000, "</s>"])
    assert.notInclude(encode("</s>", false), 2)
  })

  it("spells bytes that are no characters", async () => {
    const { decode } = await load(mistral)
    const byte = (value: number) => 3 + value
    assert.strictEqual(decode([0xe2, 0x82, 0xac].map(byte)), "€")
    assert.strictEqual(decode([0xe2, 0x82, 0x41].map(byte)), "\ufffd\ufffdA")
    assert.strictEqual(decode([0xef, 0xbb, 0xbf].map(byte)), "\ufeff")
  })

  it("is refused when it is damaged, and says how to get a tokenizer", async () => {
    for (
      const [index, content] of [
        bytes.subarray(0, bytes.length - 7),
        bytes.subarray(3),
        Buffer.from("{}"),
        Buffer.alloc(0)
      ].entries()
    ) {
      const error = await failure(beside(`bad${index}`, undefined, content))
      assert.strictEqual(error._tag, "BadFile")
      assert.match(
        error.message,
        /tokenizer\.model: not a SentencePiece model: .*tokenizer\.json that transformers saves/
      )
    }
    const none = beside("none", undefined, undefined)
    copyFileSync(join(folders.gpt2, "tokenizer_config.json"), join(none, "tokenizer_config.json"))
    assert.match(
      (await failure(none)).message,
      /no such file, nor a tokenizer.model \(transformers writes one: AutoTokenizer/
    )
  })
})
