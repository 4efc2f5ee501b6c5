// Damaged files: each ends in a typed error or in exactly what the undamaged file, or an independent reading of the
// damaged one, gives. Nothing crashes (an unhandled rejection fails the run), hangs, or passes on rows that are wrong.
// More than is stored: `FUZZ=100 vitest run fuzz` multiplies the seeds.
import { ChatMessage } from "@penchant/dsl/Row"
import { rowBatches, typed } from "@penchant/runtime/data/rows"
import { decodeSafetensors, encodeSafetensors } from "@penchant/runtime/data/safetensors"
import { loadTokenizer, type Tokenizer } from "@penchant/runtime/data/tokenizer"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { afterAll, assert, describe, it } from "vitest"
import { reference, stories260K } from "./hh.ts"
import { damaged, misshapen } from "./mutate.ts"
import { tokenizerFolders } from "./tokenizerFolders.ts"

const { directory: unpacked, folders } = tokenizerFolders()
const directory = mkdtempSync(join(tmpdir(), "fuzz-"))
afterAll(() => {
  rmSync(directory, { recursive: true })
  rmSync(unpacked, { recursive: true })
})

const times = Number(process.env["FUZZ"] ?? 1)
const seeds = (count: number): ReadonlyArray<number> => Array.from({ length: count * times }, (_, seed) => seed)
let mutants = 0

/** What an effect gives, or the tag of the typed error it fails with; anything else that is thrown fails the test. */
const outcome = async <A>(effect: Effect.Effect<A, { readonly _tag: string; readonly message: string }>) => {
  mutants += 1
  const start = performance.now()
  const result = await Effect.runPromise(Effect.result(effect))
  assert.isBelow(performance.now() - start, 20_000, "a hang")
  if (Result.isSuccess(result)) return { value: result.success }
  assert.include(["BadFile", "BadRow"], result.failure._tag)
  assert.match(result.failure.message, /\S/)
  return { failed: result.failure._tag }
}

const rowsOf = (file: string, schema: Schema.Codec<any>) =>
  typed(async (signal) => {
    const rows: Array<unknown> = []
    for await (const batch of rowBatches([file], schema, signal)) for (const { row } of batch) rows.push(row)
    return rows
  }).pipe(Effect.catchTag("StoreError", Effect.die))
const write = (name: string, bytes: Uint8Array): string => {
  const file = join(directory, name)
  writeFileSync(file, bytes)
  return file
}

const Row = Schema.Struct({ id: Schema.String, text: Schema.String, score: Schema.NullOr(Schema.Finite) })
const rows = Array.from(
  { length: 30 },
  (_, i) => ({ id: `r${i}`, text: `"a", é\u2028 😀 ${"x".repeat(i)}`, score: i % 3 === 0 ? null : i / 4 })
)
const jsonl = Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(""))

/** Rows of JSONL by the rules, read the plainest way; undefined where one is broken. */
const plainly = (bytes: Uint8Array): ReadonlyArray<unknown> | undefined => {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes)
    const lines = text.split("\n").filter((line) => line.trim() !== "")
    const decoded = lines.map((line) => Schema.decodeUnknownSync(Row)(JSON.parse(line)))
    return decoded.length === 0 ? undefined : decoded
  } catch {
    return undefined
  }
}

describe("damaged files", () => {
  it("of JSONL are refused exactly where a line is no row, and read as they are elsewhere", async () => {
    let read = 0
    for (const seed of seeds(150)) {
      const bytes = damaged(jsonl, seed)
      const found = await outcome(rowsOf(write("m.jsonl", bytes), Row))
      assert.deepStrictEqual(found.value, plainly(bytes), `seed ${seed}`)
      if (found.value !== undefined) read += 1
    }
    assert.isAbove(read, 5)
  })

  it("of gzip give every row or none", async () => {
    const zipped = gzipSync(jsonl)
    let refused = 0
    for (const seed of seeds(60)) {
      const found = await outcome(rowsOf(write("m.jsonl.gz", damaged(zipped, seed)), Row))
      if (found.value === undefined) refused += 1
      else assert.deepStrictEqual<unknown>(found.value, rows, `seed ${seed}`)
    }
    assert.isAbove(refused, 40)
  })

  it("of CSV keep their columns", async () => {
    const csv = Buffer.from(
      `id,text,score\n${
        rows.map(({ id, score, text }) => `${id},"${text.replaceAll(`"`, `""`)}",${score ?? 0}\n`).join("")
      }`
    )
    const Fields = Schema.Struct({ id: Schema.String, text: Schema.String, score: Schema.FiniteFromString })
    for (const seed of seeds(60)) {
      const found = await outcome(rowsOf(write("m.csv", damaged(csv, seed)), Fields))
      for (const row of found.value ?? []) assert.deepStrictEqual(Object.keys(row as object), ["id", "text", "score"])
    }
  })

  it("of Parquet give every row or none", async () => {
    const Small = Schema.Struct({
      id: Schema.String,
      chosen: Schema.Array(ChatMessage),
      score: Schema.NullOr(Schema.Finite),
      n: Schema.Finite
    })
    const [file, bytes] = [reference("parquet/small.parquet"), readFileSync(reference("parquet/small.parquet"))]
    const whole = await Effect.runPromise(rowsOf(file, Small))
    assert.strictEqual(whole.length, 6)
    let failed = 0
    for (const seed of seeds(250)) {
      const found = await outcome(rowsOf(write("m.parquet", damaged(bytes, seed)), Small))
      if (found.value === undefined) failed += 1
      else assert.deepStrictEqual(found.value, whole, `seed ${seed}`)
    }
    assert.isAbove(failed, 200)
  })

  it("of safetensors are refused unless every byte still has a tensor", async () => {
    const bytes = encodeSafetensors({
      a: { dtype: "F32", shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
      b: { dtype: "I64", shape: [2], data: BigInt64Array.of(1n, -1n) },
      c: { dtype: "BF16", shape: [5], data: Uint16Array.of(1, 2, 3, 4, 5) }
    }, { format: "pt" })
    for (const seed of seeds(150)) {
      const mutant = damaged(bytes, seed)
      const found = await outcome(Effect.suspend(() => Effect.fromResult(decodeSafetensors(mutant, "m.safetensors"))))
      if (found.value === undefined) continue
      const header = 8 + Number(mutant.readBigUInt64LE(0))
      let covered = 0
      for (const { data, shape } of Object.values(found.value.tensors)) {
        assert.strictEqual(data.length, shape.reduce((product, size) => product * size, 1))
        covered += data.byteLength
      }
      assert.strictEqual(header + covered, mutant.length, `seed ${seed}`)
    }
  })

  it("of tokenizers are refused, or encode text to ids and back to text", async () => {
    const texts = ["Once upon a time, there was a 猫.", "", "<s>a</s>  b\n", "\ud800"]
    const used = ({ decode, encode }: Tokenizer): void => {
      for (const text of texts) {
        const ids = encode(text, true)
        assert.isTrue(ids.every((id) => Number.isSafeInteger(id)), JSON.stringify(ids))
        assert.strictEqual(typeof decode(ids.filter((id) => id >= 0)), "string")
      }
    }
    const folder = join(directory, "tokenizer")
    mkdirSync(folder)
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
      copyFileSync(join(stories260K, name), join(folder, name))
    }
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
      const whole = readFileSync(join(folder, name))
      for (const seed of seeds(80)) {
        const broken = seed % 4 === 0
          ? damaged(whole, seed)
          : JSON.stringify(misshapen(JSON.parse(whole.toString()), seed))
        writeFileSync(join(folder, name), broken)
        const found = await outcome(loadTokenizer(folder))
        try {
          if (found.value !== undefined) used(found.value)
        } catch (error) {
          throw new Error(`${name}, seed ${seed}`, { cause: error })
        }
      }
      writeFileSync(join(folder, name), whole)
    }
    const pieces = readFileSync(join(folders["sentencepiece-unigram-1k"], "tokenizer.model"))
    const model = join(directory, "model")
    mkdirSync(model)
    for (const seed of seeds(50)) {
      writeFileSync(join(model, "tokenizer.model"), damaged(pieces, seed))
      const found = await outcome(loadTokenizer(model))
      if (found.value !== undefined) used(found.value)
    }
  })

  it("were more than eight hundred", () => assert.isAbove(mutants, 800))
})
