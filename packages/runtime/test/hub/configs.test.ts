// Which files a data set's README and the names of its files give a split: those that Python's `datasets` takes, by
// references/datasets-configs.py, and what is said where there are none.
import { assert, describe, it } from "@effect/vitest"
import type { Reference } from "@penchant/dsl/Reference"
import * as Result from "effect/Result"
import { configsOf } from "../../src/hub/card.ts"
import { selectFiles } from "../../src/hub/select.ts"
import peer from "../references/datasets-configs.json" with { type: "json" }

interface Case {
  readonly name: string
  readonly files: ReadonlyArray<string>
  readonly readme?: string
  readonly config?: string
  readonly splits?: Readonly<Record<string, ReadonlyArray<string>>>
}
const cases = peer.cases as unknown as ReadonlyArray<Case>

const repo = "datasets/o/n"
const chosen = (
  files: ReadonlyArray<string>,
  readme: string | undefined,
  reference: Partial<Reference>
): string | Array<string> => {
  const all = files.map((path) => ({ path, size: 1, oid: "a".repeat(40) }))
  const selected = Result.flatMap(
    readme === undefined ? Result.succeed(undefined) : configsOf(repo, readme),
    (configs) => selectFiles(all, { repo, revision: "main", ...reference }, configs)
  )
  return Result.isSuccess(selected) ? selected.success.map(({ path }) => path).toSorted() : selected.failure.message
}

describe("the files of a split", () => {
  it.each(cases)("$name: as datasets takes them", ({ config, files, readme, splits }) => {
    if (splits === undefined) return assert.isString(chosen(files, readme, { config, split: "train" }))
    for (const [split, expected] of Object.entries(splits)) {
      assert.deepStrictEqual(chosen(files, readme, { config, split }), [...expected], split)
    }
  })

  const configs = (yaml: string): string => `---\nconfigs:\n${yaml}\n---\n`
  const two = configs("- config_name: a\n  data_files: a.csv\n- config_name: b\n  data_files: b.csv")
  const files = ["a.csv", "b.csv"]

  it("says which configs and splits there are", () => {
    assert.strictEqual(
      chosen(files, two, { split: "train" }),
      "datasets/o/n: has several configs and none is the default: a, b (say which: config: \"a\")"
    )
    assert.strictEqual(
      chosen(files, two, { split: "train", config: "c" }),
      "datasets/o/n: has no config \"c\"; there is a, b (name one of them)"
    )
    assert.strictEqual(
      chosen(files, two, { split: "test", config: "b" }),
      "datasets/o/n: config \"b\" has no split \"test\"; it has train (name one of them)"
    )
    assert.include(chosen(files, "# Card", { split: "train", config: "b" }), "names no configs, so there is no \"b\"")
    assert.include(
      chosen(["train.jsonl", "dev.jsonl"], undefined, { split: "validate" }),
      "has no files of split \"validate\", only of train, validation; there is train.jsonl, dev.jsonl (name a split"
    )
    assert.include(
      chosen(["README.md", "o.py", "data.zip"], "# Card", { split: "train" }),
      "they come from o.py, which is never run (the Hub's own conversion may be there: revision: \"refs/convert/parquet\""
    )
  })

  it("are never read in another way than the config asks for, nor from elsewhere", () => {
    assert.include(
      chosen(files, configs("- config_name: a\n  data_files: a.csv\n  sep: \"\\t\""), { split: "train" }),
      "config \"a\" asks for sep, which files are not read by here"
    )
    assert.deepStrictEqual(
      chosen(files, configs("- config_name: a\n  data_files: a.csv\n  sep: \",\""), { split: "train" }),
      ["a.csv"]
    )
    assert.include(
      chosen(files, configs("- config_name: a\n  data_files: https://x.org/a.csv"), { split: "train" }),
      "config \"a\" takes https://x.org/a.csv, which is not in the repository"
    )
  })

  it("are those of a folder or of patterns whatever the README says", () => {
    assert.deepStrictEqual(chosen(["d/train.csv", ...files], two, { split: "train", dir: "d" }), ["d/train.csv"])
    assert.deepStrictEqual(chosen(files, two, { split: "x", files: ["b*"] }), ["b.csv"])
    // The branch refs/convert/parquet, and shards of a mirror's own splits.
    const converted = [
      "axis/test/0000.parquet",
      "comparisons/train/0000.parquet",
      "comparisons/validation/0000.parquet"
    ]
    assert.deepStrictEqual(chosen(converted, undefined, { split: "train", dir: "comparisons" }), [converted[1]!])
    const mirror = ["test", "train", "valid1", "valid2"].map((split) =>
      `data/${split}-00000-of-00001-0123456789abcdef.parquet`
    )
    assert.deepStrictEqual(chosen(mirror, undefined, { split: "valid1" }), [mirror[2]!])
  })

  it("are refused with a reason when the README is damaged", () => {
    const damaged = [
      "- config_name: [a]",
      "- config_name: a\n  data_files: 7",
      "- config_name: a\n  data_files: [{split: train}]",
      "- &x [*x]",
      `- ${"[".repeat(3000)}`,
      "{}"
    ]
    for (const yaml of damaged) {
      assert.include(chosen(files, configs(yaml), { split: "train" }), "datasets/o/n: README.md")
    }
    const bomb = `a: &a [${"x,".repeat(9)}x]\n${
      "bcdefghi".split("").map((n, i) => `${n}: &${n} [${`*${"abcdefgh"[i]!},`.repeat(9)}*${"abcdefgh"[i]!}]`).join(
        "\n"
      )
    }\nconfigs: *i`
    assert.include(chosen(files, `---\n${bomb}\n---\n`, { split: "train" }), "README.md: ")
  })
})
