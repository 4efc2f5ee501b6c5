// `penchant inspect` as a person runs it.
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { folder, root } from "./command.ts"

const { close, directory, start, write } = folder()
afterAll(close)

describe("penchant inspect", () => {
  it("profiles rows as text, as JSON with every row id, and as a page", async () => {
    const rows = [{ prompt: "q", chosen: "", rejected: "b" }, { prompt: "q", chosen: "a", rejected: "b" }]
    write("rows.jsonl", rows.map((row) => JSON.stringify(row)).join("\n"))
    const told = await start("inspect", "rows.jsonl", "-o", "profile.html").ended
    assert.strictEqual(told.code, 0, told.stderr)
    assert.include(told.stdout, "chosen is blank: 1 (50.0 %), dropped\n    rows 0\n")
    assert.match(told.stdout, /wrote the profile: profile\.html\n$/)
    assert.include(fs.readFileSync(path.join(directory, "profile.html"), "utf8"), "<h1>rows.jsonl</h1>")
    const { stdout } = await start("inspect", "rows.jsonl", "--format", "plain", "--json").ended
    const profile = JSON.parse(stdout)
    assert.deepStrictEqual(profile.findings, [{ what: "chosen is blank", dropped: true, rows: ["0"] }])
    assert.deepStrictEqual([profile.rows, profile.pairs], [2, 1])
  })

  it("takes a split of a folder, and says what is wrong with a file", async () => {
    const shipped = path.join(root, "data/hh-rlhf")
    const json = JSON.parse(
      (await start("inspect", shipped, "--split", "test", "--dir", "harmless-base", "--json").ended).stdout
    )
    assert.deepStrictEqual([json.format, json.rows, json.pairs], ["hh", 2312, 2303])
    const none = await start("inspect", shipped, "--split", "train").ended
    assert.strictEqual(none.code, 1)
    assert.match(none.stderr, /BadFile: .*hh-rlhf: has no files of split "train"; there is test /)
    const whole = await start("inspect", shipped).ended
    assert.match(whole.stderr, /BadFile: .*hh-rlhf: is a folder \(say which split with --split: test\)/)
    write("torn.csv", `prompt,chosen,rejected\na,b,"c\n`)
    const torn = await start("inspect", "torn.csv").ended
    assert.strictEqual(torn.code, 1)
    assert.match(torn.stderr, /BadRow: torn\.csv, row 0: malformed CSV: Quote Not Closed/)
  })
})
