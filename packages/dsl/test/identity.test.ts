import { assert, describe, it } from "@effect/vitest"
import { canonical, digest, NotCanonical, seed } from "@penchant/dsl/Identity"
import * as Schema from "effect/Schema"

describe("canonical", () => {
  it("sorts keys at every depth and keeps the order of arrays", () => {
    assert.strictEqual(canonical({ b: [2, 1], a: { d: null, c: "x" } }), "{\"a\":{\"c\":\"x\",\"d\":null},\"b\":[2,1]}")
  })

  const Leaf = Schema.Union([Schema.String, Schema.Int, Schema.Boolean, Schema.Null])
  const Data = Schema.Record(
    Schema.String,
    Schema.Union([Leaf, Schema.Array(Leaf), Schema.Record(Schema.String, Leaf)])
  )

  it.prop("is JSON: parsing it gives the value back, in any order of keys", [Data], ([value]) => {
    const clean = JSON.parse(JSON.stringify(value)) as object
    assert.deepStrictEqual(JSON.parse(canonical(clean)), clean)
    assert.strictEqual(digest(Object.fromEntries(Object.entries(clean).toReversed())), digest(clean))
  })

  it("refuses what JSON would lose in silence, naming the path", () => {
    const lost: ReadonlyArray<readonly [unknown, string]> = [
      [{ a: Number.NaN }, "a is NaN"],
      [{ a: [1, Number.POSITIVE_INFINITY] }, "a[1] is Infinity"],
      [{ a: { b: -0 } }, "a.b is -0"],
      [{ a: undefined }, "a is undefined"],
      [{ a: () => 1 }, "a is a function"],
      [{ a: new Map() }, "a is an instance of Map"],
      [{ a: new Date(0) }, "a is an instance of Date"],
      [{ a: 1n }, "a is a bigint"],
      [{ a: new Float64Array(1) }, "a is an instance of Float64Array"]
    ]
    for (const [value, message] of lost) {
      assert.throws(() => canonical(value), NotCanonical, message)
    }
  })

  it("has the digest that sha256sum gives for the canonical text", () => {
    // printf '{"a":1}' | sha256sum
    assert.strictEqual(digest({ a: 1 }), "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862")
  })
})

describe("seed", () => {
  it("depends on root and path only, so that streams never move each other", () => {
    assert.strictEqual(seed(0, "train/order/epoch-0"), seed(0, "train/order/epoch-0"))
    const seeds = new Set<number>()
    for (let root = 0; root < 50; root++) {
      for (let epoch = 0; epoch < 20; epoch++) seeds.add(seed(root, `train/order/epoch-${epoch}`))
    }
    assert.strictEqual(seeds.size, 1000)
  })
})
