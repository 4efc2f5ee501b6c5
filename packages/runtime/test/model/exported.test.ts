// Weights of other types and in shards: rounded to nearest, every byte accounted for, nothing lost on the way.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { placeFolder } from "../../src/cli/placeFolder.ts"
import { decodeHeader, encodeSafetensors } from "../../src/data/safetensors.ts"
import { type Dtype, dtypes, exported, type Form } from "../../src/model/exported.ts"
import { bfloat16, float16, toBfloat16, toFloat16 } from "../../src/model/halves.ts"
import { loadModel } from "../../src/model/load.ts"
import { parseBytes } from "../../src/platform/bytes.ts"
import { references } from "../compute/fixtures.ts"
import { scratch } from "../training/scratch.ts"

const source = fileURLToPath(new URL("models/llama/", references))
const names = ["config.json", "model.safetensors"]

/** A folder's files as they leave, in another folder. */
const leaving = Effect.fnUntraced(function*(from: string, form: Partial<Form>, files: ReadonlyArray<string> = names) {
  const to = path.join(yield* scratch, "out")
  const given = Object.fromEntries(files.map((name) => [name, path.join(from, name)]))
  yield* placeFolder(to, yield* exported(given, { dtype: undefined, maxShardSize: 1e9, ...form }))
  return to
})
const headerOf = (file: string) => {
  const bytes = fs.readFileSync(file)
  return Result.getOrThrow(decodeHeader(bytes, bytes.length, file))
}

/** Fraction bits and the exponent of the smallest normal number. */
const formats = { float16: [10, -14], bfloat16: [7, -126] } as const
/** To the nearest multiple of the last place, ties to even ones, in float64. */
const rounded = (x: number, type: keyof typeof formats): number => {
  const [fraction, smallest] = formats[type]
  const exponent = Math.max(smallest, x === 0 ? smallest : Math.floor(Math.log2(Math.abs(x))))
  const last = 2 ** (exponent - fraction)
  const [below, over] = [Math.floor(x / last), x / last - Math.floor(x / last)]
  return last * (over < 0.5 || (over === 0.5 && below % 2 === 0) ? below : below + 1)
}

describe("half floats", () => {
  const kinds = [["float16", toFloat16, float16, 0x7c00], ["bfloat16", toBfloat16, bfloat16, 0x7f80]] as const
  for (const [type, round, widen, infinite] of kinds) {
    it(`every ${type} comes back, and what lies between two goes to the nearer, a tie to the even one`, () => {
      const bits = Uint16Array.from({ length: infinite }, (_, i) => i)
      const values = new Float32Array(infinite)
      widen(bits, values)
      const next = new Uint16Array(infinite)
      const check = (of: Float32Array, expected: (i: number) => number, sign: number) => {
        round(of.map((x) => sign * x), next)
        for (let i = 0; i < of.length; i++) {
          if (next[i] !== (expected(i) | (sign < 0 ? 0x8000 : 0))) assert.fail(`${of[i]} gives ${next[i]}`)
        }
      }
      const middle = Float32Array.from(bits.subarray(1), (_, i) => (values[i]! + values[i + 1]!) / 2)
      const ulp = (x: number, by: number) => {
        const one = Float32Array.of(x)
        new Uint32Array(one.buffer)[0]! += by
        return one[0]!
      }
      for (const sign of [1, -1]) {
        check(values, (i) => i, sign)
        check(middle, (i) => i + i % 2, sign)
        check(middle.map((x) => ulp(x, -1)), (i) => i, sign)
        check(middle.map((x) => ulp(x, 1)), (i) => i + 1, sign)
      }
      const beyond = new Uint16Array(2)
      const last = values.at(-1)!
      const half = (last - values.at(-2)!) / 2
      round(Float32Array.of(last + half, ulp(last + half, -1)), beyond)
      assert.deepStrictEqual([...beyond], [infinite, infinite - 1])
    })
  }
})

describe("export", () => {
  for (const type of ["float16", "bfloat16"] as const) {
    it.effect(`as ${type}`, () =>
      Effect.scoped(Effect.gen(function*() {
        const out = yield* leaving(source, { dtype: type })
        assert.deepStrictEqual(fs.readdirSync(out).toSorted(), names)
        const { entries, metadata } = headerOf(path.join(out, "model.safetensors"))
        assert.deepStrictEqual(metadata, { format: "pt" })
        assert.deepStrictEqual([...new Set(Object.values(entries).map(({ dtype }) => dtype))], [dtypes[type]])
        const [before, after] = [yield* loadModel(source), yield* loadModel(out)]
        assert.deepStrictEqual(after.names, before.names)
        assert.deepStrictEqual(after.parameters, Float32Array.from(before.parameters, (x) => rounded(x, type)))
        assert.strictEqual((after.config as { torch_dtype: string }).torch_dtype, type)
        // Once rounded, it is the same in the wider type.
        const wide = yield* loadModel(yield* leaving(out, { dtype: "float32" }))
        assert.deepStrictEqual(wide.parameters, after.parameters)
      })))
  }

  it.effect("in shards, each no larger than was asked unless one tensor is, with the index of them", () =>
    Effect.scoped(Effect.gen(function*() {
      const maxShardSize = 20_000
      const out = yield* leaving(source, { dtype: "bfloat16", maxShardSize })
      const index = JSON.parse(fs.readFileSync(path.join(out, "model.safetensors.index.json"), "utf8"))
      const files = [...new Set(Object.values<string>(index.weight_map))].toSorted()
      assert.deepStrictEqual(fs.readdirSync(out).toSorted(), ["config.json", ...files, "model.safetensors.index.json"])
      const count = String(files.length).padStart(5, "0")
      assert.deepStrictEqual(
        files,
        files.map((_, i) => `model-${String(i + 1).padStart(5, "0")}-of-${count}.safetensors`)
      )
      let total = 0
      for (const file of files) {
        const { entries, length } = headerOf(path.join(out, file))
        const bytes = fs.statSync(path.join(out, file)).size - length
        assert.isTrue(bytes <= maxShardSize || Object.keys(entries).length === 1, file)
        assert.deepStrictEqual(
          Object.keys(entries).map((name) => index.weight_map[name]),
          Object.keys(entries).map(() => file)
        )
        total += bytes
      }
      assert.isAbove(files.length, 3)
      assert.deepStrictEqual(index.metadata, { total_parameters: 55_968, total_size: 2 * 55_968 })
      assert.strictEqual(total, 2 * 55_968)
      const { parameters } = yield* loadModel(out)
      assert.deepStrictEqual(parameters, (yield* loadModel(yield* leaving(source, { dtype: "bfloat16" }))).parameters)
      // And together again.
      const shards = ["config.json", ...files, "model.safetensors.index.json"]
      const whole = yield* leaving(out, { dtype: "float32" }, shards)
      assert.deepStrictEqual(fs.readdirSync(whole).toSorted(), names)
      assert.deepStrictEqual((yield* loadModel(whole)).parameters, parameters)
    })))

  it.effect("copies what is already as asked, byte for byte", () =>
    Effect.scoped(Effect.gen(function*() {
      for (const dtype of [undefined, "float32"] as ReadonlyArray<Dtype | undefined>) {
        const out = yield* leaving(source, { dtype })
        for (const name of names) {
          assert.isTrue(fs.readFileSync(path.join(out, name)).equals(fs.readFileSync(path.join(source, name))), name)
        }
      }
    })))

  it.effect("refuses values that a type has no number for, and leaves nothing", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* scratch
      const data = Float32Array.of(1, 65_519, -65_520)
      fs.writeFileSync(
        path.join(folder, "model.safetensors"),
        encodeSafetensors({ w: { dtype: "F32", shape: [3], data } })
      )
      const error = yield* Effect.flip(leaving(folder, { dtype: "float16" }, ["model.safetensors"]))
      assert.include(
        error.message,
        "model.safetensors: \"w\" holds -65520 at element 2, which is beyond float16: export it as bfloat16 or float32"
      )
    })))

  it("sizes are read as people write them", () => {
    assert.deepStrictEqual(["5GB", "1.5 MiB", "10kb", "0MB", "5", "GB", "-1GB"].map(parseBytes), [
      5e9,
      1.5 * 2 ** 20,
      1e4,
      undefined,
      undefined,
      undefined,
      undefined
    ])
  })
})
