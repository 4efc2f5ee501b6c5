// The ONNX writer: bytes by hand, and models that onnxruntime runs.
import { assert, describe, it } from "@effect/vitest"
import { InferenceSession, Tensor } from "onnxruntime-node"
import { program } from "../../src/compute/onnx/Program.ts"
import { message } from "../../src/compute/onnx/protobuf.ts"

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")

describe("protobuf", () => {
  // Worked by hand from https://protobuf.dev/programming-guides/encoding
  it("writes varints, negative ones in ten bytes", () => {
    assert.strictEqual(hex(message().int(1, 150).finish()), "089601")
    assert.strictEqual(hex(message().int(1, 0).int(16, 127).finish()), "080080017f")
    assert.strictEqual(hex(message().int(1, -2).finish()), "08feffffffffffffffff01")
    assert.strictEqual(hex(message().int(1, 2 ** 40).finish()), "08808080808020")
  })
  it("writes strings, floats, bytes and nested messages with their lengths", () => {
    assert.strictEqual(hex(message().string(2, "testing").finish()), "120774657374696e67")
    assert.strictEqual(hex(message().float(1, 1).finish()), "0d0000803f")
    assert.strictEqual(hex(message().message(3, (m) => m.int(1, 150)).finish()), "1a03089601")
    const long = message().bytes(1, new Uint8Array(300).fill(7)).finish()
    assert.strictEqual(hex(long.subarray(0, 5)), "0aac020707")
    assert.strictEqual(long.length, 303)
  })
})

describe("program", () => {
  const run = async (bytes: Uint8Array, feeds: Record<string, Tensor>) => {
    const session = await InferenceSession.create(bytes, { logSeverityLevel: 3 })
    const results = await session.run(feeds)
    await session.release()
    return results
  }
  const x = new Tensor("float32", Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3])

  it("makes a model of nodes, constants and named outputs", async () => {
    const p = program()
    const input = p.input("x", "float32")
    const doubled = p.node("Mul", [input, p.constant("float32", [2], [])])
    p.output("doubled", doubled, "float32")
    const [left, right] = p.nodes("Split", [doubled, p.constant("int64", [1, 2])], 2, { axis: 1 })
    p.output("left", left!, "float32")
    p.output("sum", p.node("ReduceSum", [right!, p.constant("int64", [1])], { keepdims: 0 }), "float32")
    p.output("silu", p.node("QuickGelu", [input], { alpha: { float: 1 } }), "float32")
    const model = p.finish()
    assert.deepStrictEqual(model.inputs, [{ name: "x", type: "float32" }])
    assert.strictEqual(model.nodes, 4)
    const { doubled: y, left: l, silu, sum } = await run(model.bytes, { x })
    assert.deepStrictEqual([...y!.data as Float32Array], [2, 4, 6, 8, 10, 12])
    assert.deepStrictEqual([...l!.data as Float32Array], [2, 8])
    assert.deepStrictEqual([...sum!.data as Float32Array], [10, 22])
    assert.closeTo((silu!.data as Float32Array)[0]!, 1 / (1 + Math.exp(-1)), 1e-6)
  })

  it("copies where an output is an input, or a value has two names", async () => {
    const p = program()
    const input = p.input("x", "float32")
    p.output("same", input, "float32")
    const minus = p.node("Neg", [input])
    p.output("a", minus, "float32")
    p.output("b", minus, "float32")
    const { a, b, same } = await run(p.finish().bytes, { x })
    assert.deepStrictEqual([...same!.data as Float32Array], [1, 2, 3, 4, 5, 6])
    assert.deepStrictEqual(a!.data, b!.data)
  })

  it("stores a constant once, and computes once per key", () => {
    const p = program()
    assert.strictEqual(p.constant("int64", [1, -1]), p.constant("int64", [1, -1]))
    assert.notStrictEqual(p.constant("int64", [1]), p.constant("float32", [1]))
    assert.notStrictEqual(p.constant("float32", [1], []), p.constant("float32", [1]))
    let made = 0
    const make = () => ++made
    assert.deepStrictEqual([p.once("k", make), p.once("k", make), p.once("other", make)], [1, 1, 2])
  })
})
