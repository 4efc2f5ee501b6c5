import { decodeHeader, decodeSafetensors, encodeSafetensors, type Tensor } from "@penchant/runtime/data/safetensors"
import * as Result from "effect/Result"
import { assert, describe, it } from "vitest"

/** A file from a header (text or value) and its data, written by hand. */
const file = (header: unknown, data: ReadonlyArray<number> = [], declared?: bigint): Uint8Array => {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header))
  const bytes = new Uint8Array(8 + json.length + data.length)
  new DataView(bytes.buffer).setBigUint64(0, declared ?? BigInt(json.length), true)
  bytes.set(json, 8)
  bytes.set(data, 8 + json.length)
  return bytes
}
const problem = (bytes: Uint8Array): string => {
  const result = decodeSafetensors(bytes, "w.safetensors")
  if (Result.isSuccess(result)) throw new Error("decoded")
  assert.strictEqual(result.failure._tag, "BadFile")
  assert.strictEqual(result.failure.file, "w.safetensors")
  return result.failure.problem.replace("not a valid safetensors file: ", "")
}
const decoded = (bytes: Uint8Array) => Result.getOrThrow(decodeSafetensors(bytes, "w.safetensors"))

describe("safetensors", () => {
  const all: Record<string, Tensor> = {
    bytes: { dtype: "U8", shape: [3], data: Uint8Array.of(1, 2, 255) },
    flags: { dtype: "BOOL", shape: [2], data: Uint8Array.of(0, 1) },
    half: { dtype: "F16", shape: [1], data: Uint16Array.of(0x3c00) },
    brain: { dtype: "BF16", shape: [2], data: Uint16Array.of(0x3f80, 0xc000) },
    single: { dtype: "F32", shape: [2, 2], data: Float32Array.of(1, -2, NaN, Infinity) },
    int: { dtype: "I32", shape: [3], data: Int32Array.of(1, -2, 2 ** 31 - 1) },
    double: { dtype: "F64", shape: [1, 2], data: Float64Array.of(Math.PI, -0) },
    long: { dtype: "I64", shape: [1], data: BigInt64Array.of(-(2n ** 63n)) },
    scalar: { dtype: "F32", shape: [], data: Float32Array.of(7) },
    empty: { dtype: "F64", shape: [0, 5], data: new Float64Array(0) }
  }

  it("gives back every dtype, scalar and empty shapes, and metadata", () => {
    const { metadata, tensors } = decoded(encodeSafetensors(all, { format: "pt" }))
    assert.deepStrictEqual(metadata, { format: "pt" })
    assert.deepStrictEqual(Object.keys(tensors).toSorted(), Object.keys(all).toSorted())
    for (const [name, tensor] of Object.entries(all)) assert.deepStrictEqual(tensors[name], tensor, name)
  })

  it("writes the same bytes whatever the order of the record, aligned for every dtype", () => {
    const bytes = encodeSafetensors(all, { b: "1", a: "2" })
    const reversed = Object.fromEntries(Object.entries(all).toReversed())
    assert.deepStrictEqual(encodeSafetensors(reversed, { a: "2", b: "1" }), bytes)
    const header = Result.getOrThrow(decodeHeader(bytes, bytes.length, "w"))
    assert.strictEqual(header.length % 8, 0)
    for (const [name, { data }] of Object.entries(all)) {
      assert.strictEqual(header.entries[name]!.begin % data.BYTES_PER_ELEMENT, 0, name)
    }
  })

  it("reads unaligned data by copying", () => {
    const bytes = file({
      x: { dtype: "F32", shape: [1], data_offsets: [1, 5] },
      y: { dtype: "U8", shape: [1], data_offsets: [0, 1] }
    }, [
      9,
      0,
      0,
      0x80,
      0x3f
    ])
    for (const shift of [0, 1, 2, 3]) {
      const moved = new Uint8Array(bytes.length + shift)
      moved.set(bytes, shift)
      assert.deepStrictEqual(decoded(moved.subarray(shift)).tensors["x"]!.data, Float32Array.of(1))
    }
  })

  it("reads a header without the data", () => {
    const bytes = encodeSafetensors(all)
    const length = Result.getOrThrow(decodeHeader(bytes, bytes.length, "w")).length
    assert.deepStrictEqual(
      Result.getOrThrow(decodeHeader(bytes.subarray(0, length), bytes.length, "w")).entries["single"]!.shape,
      [2, 2]
    )
    assert.isTrue(Result.isFailure(decodeHeader(bytes.subarray(0, length - 1), bytes.length, "w")))
  })

  const x = { dtype: "F32", shape: [1], data_offsets: [0, 4] }
  const cases: ReadonlyArray<readonly [string, Uint8Array, string]> = [
    ["an empty file", new Uint8Array(0), "0 bytes, too short for the header's length"],
    ["a header beyond the file", file({}, [], 3n), "header of 3 bytes in a file of 10"],
    ["a length of all ones", file({}, [], 2n ** 64n - 1n), "header of 18446744073709551615 bytes in a file of 10"],
    ["an array for a header", file("[]"), "header is not a JSON object"],
    ["an entry that is no object", file({ x: 1 }), `"x" is not an object`],
    ["metadata that is no string", file({ __metadata__: { a: 1 } }), `metadata "a" is not a string`],
    [
      "an unknown dtype",
      file({ x: { ...x, dtype: "F8" } }, [0]),
      `"x" has dtype "F8"; known are F64 I64 F32 I32 F16 BF16 U8 BOOL`
    ],
    ["a negative size", file({ x: { ...x, shape: [-1] } }), `"x" has shape [-1]`],
    [
      "a shape beyond exact integers",
      file({ x: { ...x, shape: [2 ** 40, 2 ** 40] } }),
      `"x" has shape [1099511627776,1099511627776]`
    ],
    ["no offsets", file({ x: { dtype: "F32", shape: [1] } }), `"x" has data_offsets undefined`],
    ["offsets that run backwards", file({ x: { ...x, data_offsets: [4, 0] } }), `"x" has data_offsets [4,0]`],
    [
      "offsets that do not fit the shape",
      file({ x: { ...x, shape: [2] } }, [0, 0, 0, 0]),
      `"x" has 4 bytes, but F32 of shape [2] takes 8`
    ],
    [
      "overlapping tensors",
      file({ x, y: { ...x, data_offsets: [2, 6] } }, [0, 0, 0, 0, 0, 0]),
      `"y" starts at byte 2, inside the tensor before it, which ends at 4`
    ],
    [
      "a gap",
      file({ x, y: { ...x, data_offsets: [5, 9] } }, [0, 0, 0, 0, 0, 0, 0, 0, 0]),
      `bytes 4 to 5, before "y", belong to no tensor`
    ],
    ["a truncated file", file({ x }, [0, 0, 0]), "truncated: the tensors take 4 bytes, the file has 3"],
    ["bytes after the end", file({ x }, [0, 0, 0, 0, 0]), "1 bytes after the last tensor belong to none"]
  ]
  it.each(cases)("refuses %s", (_, bytes, expected) => assert.strictEqual(problem(bytes), expected))

  it("refuses a header that is not JSON or not UTF-8", () => {
    assert.match(problem(file(`{"x":`)), /^header is not JSON: /)
    assert.match(problem(file({}, [], 2n).with(8, 0xff)), /^header is not JSON: /)
  })

  it("treats a shape that does not fit as a bug of the caller", () => {
    assert.throws(
      () => encodeSafetensors({ x: { dtype: "F32", shape: [2], data: new Float32Array(1) } }),
      /shape \[2\]/
    )
  })
})
