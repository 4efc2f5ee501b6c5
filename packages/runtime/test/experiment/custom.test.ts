// Steps of one's own: found by their address, given a workspace, and answered for when they go wrong.
import { assert, describe, it } from "@effect/vitest"
import { Executor } from "@penchant/dsl/Step"
import type { Step } from "@penchant/dsl/Step"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { type Behave, experiment, recorder, runIn, step, withDirectory } from "./fakes.ts"
import { dedupe, type Lines, misnamed, NoLines, notANumber, throws } from "./ownSteps.ts"

const text: Behave = () =>
  Effect.succeed({ kind: "Lines", meta: { count: 3 }, files: { "in/all.txt": Buffer.from("a\nb\na") } })
const rows = step("rows", { n: 1 }, {}, { title: "rows", behave: text }) as unknown as Step<Lines>

describe("a step of one's own", () => {
  it.effect("reads its inputs as folders and leaves its folder as the result", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const target = dedupe({ rows }, { file: "in/all.txt", atLeast: 1 })
        const first = yield* runIn(home, { target })
        const artifact = first.report.outcomes[1]!.artifact!
        assert.deepStrictEqual([artifact.kind, artifact.meta], ["Lines", { count: 2 }])
        const manifest = JSON.parse(
          fs.readFileSync(path.join(home, "store", artifact.digest.slice(0, 2), artifact.digest), "utf8")
        ) as { readonly files: ReadonlyArray<{ readonly name: string; readonly sha256: string }> }
        assert.deepStrictEqual(manifest.files.map(({ name }) => name), ["sub/lines.txt"])
        const { sha256 } = manifest.files[0]!
        assert.strictEqual(fs.readFileSync(path.join(home, "store", sha256.slice(0, 2), sha256), "utf8"), "a\nb")
        const second = yield* runIn(home, { target })
        assert.deepStrictEqual(Object.values(second.status), ["hit", "hit"])
        // A program reads the small part of the result.
        const { meta } = yield* Executor.use(({ run }) => run(target)).pipe(
          Effect.provide(experiment(home, recorder()))
        )
        assert.strictEqual(meta.count, 2)
      })
    ))

  it.effect("fails with its own error, unchanged", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const { report } = yield* runIn(home, { target: dedupe({ rows }, { file: "in/all.txt", atLeast: 9 }) })
        const error = Cause.squash(report.failure!.cause)
        assert.instanceOf(error, NoLines)
        assert.strictEqual((error as NoLines).file, "in/all.txt")
      })
    ))

  it.effect("is a typed error when it throws, returns what is no data, or is not where it says", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const { report } = yield* runIn(home, {
          misnamed: misnamed({}, {}),
          notANumber: notANumber({}, {}),
          throws: throws({}, {})
        })
        const problems = Object.fromEntries(
          report.outcomes.map(({ label, problem }) => [label, problem!.replace(/^file:.*\//, "")])
        )
        assert.strictEqual(
          problems["misnamed"],
          "ownSteps.ts, step \"misspelt\": the module exports no step of that name; write `export const misspelt = step(import.meta, \"misspelt\", ...)`"
        )
        assert.strictEqual(
          problems["notANumber"],
          "ownSteps.ts, step \"notANumber\": what it returned is no plain data: meta.count is NaN, which has no canonical form, so it cannot be stored"
        )
        assert.match(problems["throws"]!, /^ownSteps\.ts, step "throws": .*JSON/)
        assert.isTrue(report.outcomes.every(({ status }) => status === "failed"))
      })
    ))
})
