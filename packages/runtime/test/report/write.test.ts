import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { metricsLines, writeReport } from "../../src/report/write.ts"
import { quickstart } from "./fixture.ts"

describe("writing a report", () => {
  it.effect("leaves the page and the metrics beside it, and nothing else", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      const written = yield* writeReport(quickstart, `${directory}/deep/quick.html`)
      assert.deepStrictEqual(written, [
        { what: "report", path: `${directory}/deep/quick.html` },
        { what: "metrics", path: `${directory}/deep/quick.metrics.jsonl` }
      ])
      const left = (yield* fs.readDirectory(`${directory}/deep`)).toSorted()
      assert.deepStrictEqual(left, ["quick.html", "quick.metrics.jsonl"])
      assert.match(yield* fs.readFileString(written[0]!.path), /^<!doctype html>[^]*<\/html>\n$/)
      // a second time it replaces both
      yield* writeReport({ ...quickstart, title: "again" }, written[0]!.path)
      assert.include(yield* fs.readFileString(written[0]!.path), "<h1>again</h1>")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("says what is in the way, and leaves no half of a file", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      yield* fs.writeFileString(`${directory}/file`, "in the way")
      const error = yield* Effect.flip(writeReport(quickstart, `${directory}/file/quick.html`))
      assert.strictEqual(error._tag, "ReportNotWritten")
      assert.strictEqual(error.path, `${directory}/file/quick.html`)
      yield* fs.makeDirectory(`${directory}/quick.html`)
      yield* Effect.flip(writeReport(quickstart, `${directory}/quick.html`))
      assert.deepStrictEqual((yield* fs.readDirectory(directory)).toSorted(), ["file", "quick.html"])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})

describe("the metrics as lines", () => {
  it("holds every step of training and every snapshot", () => {
    const lines = metricsLines(quickstart).trimEnd().split("\n").map((line) => JSON.parse(line))
    assert.lengthOf(lines, 6 * (48 + 4))
    const first = { run: "objectives/dil-lsif", split: "train", ...quickstart.runs[0]!.metrics[0] }
    assert.deepStrictEqual(lines[0], first)
    assert.deepStrictEqual(lines[51], {
      run: "objectives/dil-lsif",
      split: "held-out",
      step: 48,
      chosenLogProb: -2.684,
      chosenChange: -0.47,
      rejectedLogProb: -2.687,
      rejectedChange: -0.5,
      margin: 0.003,
      marginChange: 0.03
    })
  })
})
