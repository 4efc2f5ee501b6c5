// References to the Hub as text: one spelling for what is equal, and back again.
import { assert, describe, it } from "@effect/vitest"
import { Dataset, Model } from "@penchant/dsl"
import { formatReference, isReference, parseReference } from "@penchant/dsl/Reference"

describe("a reference to the Hub", () => {
  it("is spelt in one way", () => {
    const rows = (options: Parameters<typeof Dataset.hub>[1]) => Dataset.hub("org/name", options).sources["hub"]
    assert.strictEqual(rows({ split: "train" }), "hf://datasets/org/name@main?split=train")
    assert.strictEqual(
      rows({ split: "train", dir: "/harmless-base/", revision: "refs/pr/1" }),
      "hf://datasets/org/name@refs/pr/1?dir=harmless-base&split=train"
    )
    assert.strictEqual(
      rows({ split: "train", config: "a b" }),
      "hf://datasets/org/name@main?config=a+b&split=train"
    )
    assert.strictEqual(
      rows({ split: "x", files: ["b*.json", "a b/{c,d}.csv"] }),
      rows({ split: "x", files: ["a b/{c,d}.csv", "b*.json"] })
    )
    assert.strictEqual(Model.hub("gpt2").sources["hub"], "hf://models/gpt2@main")
    assert.strictEqual(
      Model.hub("o/m", { revision: "v1" }).sources["hub"],
      Model.named("n", "o/m").sources["hub"]!.replace("main", "v1")
    )
  })

  it("is read back as it was", () => {
    const reference = {
      repo: "datasets/o/n",
      revision: "refs/convert/parquet",
      split: "train",
      config: undefined,
      dir: "a/b",
      files: ["a b/*.parquet", "é#?&=.json"]
    } as const
    assert.deepStrictEqual(parseReference(formatReference(reference)), reference)
    const named = { ...reference, dir: undefined, files: undefined, config: "a b" }
    assert.deepStrictEqual(parseReference(formatReference(named)), named)
    assert.isTrue(isReference(formatReference(reference)))
    assert.isFalse(isReference("data/hf"))
    assert.throws(() => parseReference("hf://spaces/o/n@main"), "no reference to the Hub")
  })
})
