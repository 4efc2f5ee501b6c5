// The ledger for people, the code of an installation, and what is swept away.
import { assert, describe, it } from "@effect/vitest"
import { sha256 } from "@penchant/dsl/Identity"
import { installation, packagesCode } from "@penchant/runtime/experiment/code"
import { openHome } from "@penchant/runtime/experiment/Home"
import { ls, resolve, show } from "@penchant/runtime/experiment/listing"
import { sweep } from "@penchant/runtime/experiment/sweep"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { numerics, runIn, step, withDirectory } from "./fakes.ts"

const targets = () => {
  const model = step("model", { id: "tiny" }, {}, { title: "load tiny" })
  const train = (seed: number) => step("train", { seed }, { model }, { title: "train dpo" })
  return { "study/seed=0": train(0), "study/seed=1": train(1) }
}

describe("ls, show, resolve", () => {
  it.effect("list every label, and say what a result is and what it was made from", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const { digests } = yield* runIn(home, targets())
        yield* Effect.scoped(Effect.gen(function*() {
          const { ledger } = yield* openHome(home)
          const listed = yield* ls(ledger)
          assert.deepStrictEqual(listed.map(({ digest, kind, label }) => [label, kind, digest]), [
            ["load tiny", "model", digests["load tiny"]],
            ["study/seed=0", "train", digests["study/seed=0"]],
            ["study/seed=1", "train", digests["study/seed=1"]]
          ])
          // A file of 64 bytes and the manifest.
          const digest = digests["study/seed=0"]!
          const manifest = fs.readFileSync(path.join(home, "store", digest.slice(0, 2), digest))
          assert.strictEqual(listed[1]!.bytes, 64 + manifest.length)

          assert.strictEqual(yield* resolve(ledger, "study/seed=0"), digest)
          assert.strictEqual(yield* resolve(ledger, digest.slice(0, 8)), digest)
          const unknown = yield* Effect.flip(resolve(ledger, "study/seed=2"))
          assert.strictEqual(
            unknown.message,
            "study/seed=2: no result has this label or digest; did you mean study/seed=0, study/seed=1?"
          )
          assert.strictEqual(
            (yield* Effect.flip(resolve(ledger, "000000"))).message,
            "000000: no result has this label or digest"
          )

          const shown = yield* show(ledger, "study/seed=0")
          assert.deepStrictEqual(shown.labels, ["study/seed=0"])
          assert.deepStrictEqual(shown.manifest.files.map(({ bytes, name }) => [name, bytes]), [["content.txt", 64]])
          const [made] = shown.made
          assert.deepStrictEqual(made!.parts.parameters, { seed: 0 })
          assert.deepStrictEqual(made!.parts.numerics, { ...numerics })
          assert.deepStrictEqual(made!.parts.inputs["model"]!.digest, digests["load tiny"])
          assert.strictEqual(made!.parts.inputs["model"]!.label, "load tiny")
          assert.strictEqual(made!.environment["node"], process.version)
          assert.strictEqual(made!.pid, process.pid)
        }))
      })
    ))

  it.effect("keep numbers and runs for SQL", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const curve = step("trajectory", {}, {}, {
          behave: () => Effect.succeed({ kind: "Curve", meta: { steps: [0, 24], margin: [0.1, 0.3] }, files: {} })
        })
        yield* runIn(home, { curve })
        yield* runIn(home, { curve })
        yield* Effect.scoped(Effect.gen(function*() {
          const { ledger } = yield* openHome(home)
          const metrics = yield* ledger.read((rows) => rows.all("SELECT name, step, value FROM metric ORDER BY step"))
          assert.deepStrictEqual(metrics.map((row) => Object.assign({}, row)), [
            { name: "margin", step: 0, value: 0.1 },
            { name: "margin", step: 24, value: 0.3 }
          ])
          const nodes = yield* ledger.read((rows) =>
            rows.all<{ readonly status: string; readonly why: string }>("SELECT status, why FROM run_node ORDER BY run")
          )
          assert.deepStrictEqual(nodes.map(({ status, why }) => [status, why]), [["ran", "[{\"_tag\":\"NeverRan\"}]"], [
            "hit",
            "[]"
          ]])
        }))
      })
    ))
})

describe("sweep", () => {
  it.live("removes half-written files and the scratch of what is done, and nothing else", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const { report } = yield* runIn(home, targets())
        const done = report.outcomes[0]!.actionKey!
        const old = path.join(home, "store", "ab", ".writing-1-x")
        const young = path.join(home, "store", "ab", ".writing-2-y")
        fs.mkdirSync(path.dirname(old), { recursive: true })
        for (const at of [old, young]) fs.writeFileSync(at, "")
        fs.utimesSync(old, 0, 0)
        const unfinished = sha256("an action that never came to an end")
        for (const key of [done, unfinished]) fs.mkdirSync(path.join(home, "scratch", key))
        const before = fs.readdirSync(path.join(home, "store"), { recursive: true }).length
        const removed = yield* Effect.scoped(Effect.flatMap(openHome(home), sweep))
        assert.deepStrictEqual(removed.toSorted(), [path.join(home, "scratch", done), old].toSorted())
        assert.deepStrictEqual(fs.readdirSync(path.join(home, "scratch")), [unfinished])
        assert.strictEqual(fs.readdirSync(path.join(home, "store"), { recursive: true }).length, before - 1)
      })
    ))
})

describe("the code of this installation", () => {
  it.effect("is every source that decides a result, and the lockfile", () =>
    withDirectory((home) =>
      Effect.scoped(Effect.gen(function*() {
        const { ledger } = yield* openHome(home)
        const code = yield* packagesCode(ledger, installation())
        const names = Object.keys(code.files)
        for (
          const name of ["dsl/src/Step.ts", "objectives/src/dpo.ts", "runtime/src/experiment/code.ts", "pnpm-lock.yaml"]
        ) {
          assert.include(names, name)
        }
        assert.deepStrictEqual(names.filter((name) => /runtime\/src\/(cli|report|platform)\//.test(name)), [])
        assert.strictEqual(
          code.files["dsl/src/Step.ts"],
          sha256(fs.readFileSync(path.resolve("packages/dsl/src/Step.ts")))
        )
        assert.strictEqual((yield* packagesCode(ledger, installation())).digest, code.digest)
        // The second time it is read from the ledger.
        const remembered = yield* ledger.read((rows) => rows.all("SELECT path FROM sourceFile").length)
        assert.strictEqual(remembered, names.length)
      }))
    ))
})
