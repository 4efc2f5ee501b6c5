// Results by content: what lies on disk, what is noticed when it no longer does, and what a bad disk does.
import { assert, describe, it } from "@effect/vitest"
import { StoreError } from "@penchant/dsl/Errors"
import { sha256 } from "@penchant/dsl/Identity"
import { openHome } from "@penchant/runtime/experiment/Home"
import { ls } from "@penchant/runtime/experiment/listing"
import { nameProblem } from "@penchant/runtime/experiment/manifest"
import { reasons } from "@penchant/runtime/experiment/Plan"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { type Behave, planIn, runIn, step, withDirectory } from "./fakes.ts"

const blob = (home: string, digest: string): string => path.join(home, "store", digest.slice(0, 2), digest)

const withHome = <A, E>(f: (home: Effect.Success<ReturnType<typeof openHome>>) => Effect.Effect<A, E>) =>
  withDirectory((directory) => Effect.scoped(Effect.flatMap(openHome(directory), f)))

describe("put", () => {
  it.effect("writes an artifact as a manifest that names its files by content", () =>
    withHome(({ directory, ledger, store }) =>
      Effect.gen(function*() {
        const stored = yield* store.put({
          kind: "Scores",
          meta: { b: 0.5, a: 1 },
          files: { "sub/b.txt": Buffer.from("hello"), "a.txt": Buffer.from("hello") }
        }, directory)
        // sha256 of "hello", from any other tool.
        const hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        const text =
          `{"files":[{"bytes":5,"name":"a.txt","sha256":"${hello}"},{"bytes":5,"name":"sub/b.txt","sha256":"${hello}"}],` +
          `"kind":"Scores","meta":{"a":1,"b":0.5},"version":1}`
        assert.strictEqual(stored.digest, sha256(text))
        assert.strictEqual(fs.readFileSync(blob(directory, stored.digest), "utf8"), text)
        assert.strictEqual(fs.readFileSync(blob(directory, hello), "utf8"), "hello")
        assert.strictEqual(fs.statSync(blob(directory, hello)).mode & 0o777, 0o444)
        // Not yet in the ledger, so not yet there.
        assert.strictEqual((yield* store.check(stored.digest, "bytes"))._tag, "Gone")
        yield* ledger.write((rows) => stored.record(rows, 0))
        assert.deepStrictEqual(yield* store.check(stored.digest, "bytes"), { _tag: "Whole", manifest: stored.manifest })
        assert.deepStrictEqual((yield* store.open(stored.digest)).files, {
          "a.txt": blob(directory, hello),
          "sub/b.txt": blob(directory, hello)
        })
        assert.deepStrictEqual(
          fs.readdirSync(path.join(directory, "store"), { recursive: true }).toString().match(/writing/),
          null
        )
      })
    ))

  it.effect("moves a file of the scratch directory, and leaves a blob that is there alone", () =>
    withHome(({ directory, store }) =>
      Effect.gen(function*() {
        const scratch = path.join(directory, "scratch")
        const file = path.join(scratch, "weights")
        fs.writeFileSync(file, "w".repeat(100_000))
        const first = yield* store.put({ kind: "Weights", meta: {}, files: { weights: { path: file } } }, scratch)
        assert.isFalse(fs.existsSync(file))
        const at = blob(directory, first.manifest.files[0]!.sha256)
        const before = fs.statSync(at, { bigint: true })
        fs.writeFileSync(file, "w".repeat(100_000))
        const second = yield* store.put({ kind: "Weights", meta: {}, files: { weights: { path: file } } }, scratch)
        assert.strictEqual(second.digest, first.digest)
        const after = fs.statSync(at, { bigint: true })
        assert.deepStrictEqual([after.ino, after.mtimeNs], [before.ino, before.mtimeNs])
      })
    ))

  it.effect("refuses names that leave the folder and files that lie outside the scratch directory", () =>
    withHome(({ directory, store }) =>
      Effect.gen(function*() {
        for (
          const name of ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a\0", "C:/x", "a\\b", "x".repeat(256)]
        ) {
          assert.isDefined(nameProblem(name), name)
          const error = yield* Effect.flip(
            store.put({ kind: "K", meta: {}, files: { [name]: Buffer.from("") } }, directory)
          )
          assert.strictEqual(error._tag, "StoreError")
        }
        assert.isUndefined(nameProblem("tokenizer/vocab.json"))
        const clash = { "a": Buffer.from(""), "a/b": Buffer.from("") }
        assert.include(
          (yield* Effect.flip(store.put({ kind: "K", meta: {}, files: clash }, directory))).message,
          "also a file"
        )
        const scratch = path.join(directory, "scratch", "key")
        fs.mkdirSync(scratch)
        fs.symlinkSync("/etc/hostname", path.join(scratch, "link"))
        for (
          const at of ["/etc/hostname", path.join(scratch, "..", "..", "ledger.sqlite"), path.join(scratch, "link")]
        ) {
          const error = yield* Effect.flip(store.put({ kind: "K", meta: {}, files: { x: { path: at } } }, scratch))
          assert.include(error.message, "lies outside the step's scratch directory")
        }
      })
    ))
})

const content: Behave = () =>
  Effect.succeed({ kind: "rows", meta: { count: 1 }, files: { "rows.jsonl": Buffer.from("x".repeat(100_000)) } })
const chain = () => {
  const rows = step("rows", { n: 1 }, {}, { title: "rows", behave: content })
  return { end: step("metric", {}, { data: step("tokenise", {}, { rows }, { title: "tokenise" }) }) }
}
const damaged = sha256("x".repeat(100_000))

const damages: ReadonlyArray<readonly [what: string, problem: string, damage: (at: string) => void]> = [
  ["a flipped byte", "is corrupted (its bytes have another sha256)", (at) => {
    fs.chmodSync(at, 0o644)
    const file = fs.openSync(at, "r+")
    fs.writeSync(file, "y", 500)
    fs.closeSync(file)
  }],
  ["a flipped byte behind restored times", "is corrupted (its bytes have another sha256)", (at) => {
    const { atime, mtime } = fs.statSync(at)
    fs.chmodSync(at, 0o644)
    fs.writeFileSync(at, `${"x".repeat(99_999)}y`)
    fs.utimesSync(at, atime, mtime)
    fs.chmodSync(at, 0o444)
  }],
  ["a truncated file", "is corrupted (10 bytes instead of 100000)", (at) => {
    fs.chmodSync(at, 0o644)
    fs.truncateSync(at, 10)
  }],
  ["a missing file", "is missing", (at) => fs.rmSync(at)]
]

describe("a damaged store", () => {
  for (const [what, problem, damage] of damages) {
    it.effect(`with ${what} is noticed, made again and said`, () =>
      withDirectory((home) =>
        Effect.gen(function*() {
          const first = yield* runIn(home, chain())
          damage(blob(home, damaged))
          const told = `store/${damaged.slice(0, 2)}/${damaged} ${problem}`
          const plan = yield* planIn(home, chain())
          assert.deepStrictEqual(reasons(plan.get("end › rows")!.verdict), [`its result is gone: ${told}`])
          assert.deepStrictEqual([...plan.values()].map(({ verdict }) => verdict._tag), [
            "Run",
            "MaybeCutoff",
            "MaybeCutoff"
          ])
          const second = yield* runIn(home, chain())
          assert.deepStrictEqual(second.ran, ["end › rows"])
          assert.deepStrictEqual(second.digests, first.digests)
          assert.deepInclude(second.events, { _tag: "Warning", label: "end › rows", message: `${told}; made again` })
          assert.strictEqual(fs.readFileSync(blob(home, damaged), "utf8"), "x".repeat(100_000))
          assert.deepStrictEqual((yield* runIn(home, chain())).ran, [])
        })
      ))
  }

  it.effect("rewrites a damaged manifest from the ledger, and says so", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const { digests } = yield* runIn(home, chain())
        const at = blob(home, digests["end"]!)
        const text = fs.readFileSync(at, "utf8")
        fs.rmSync(at)
        const { events, ran } = yield* runIn(home, chain())
        assert.deepStrictEqual(ran, [])
        const said = `store/${digests["end"]!.slice(0, 2)}/${digests["end"]} is missing; written anew from the ledger`
        assert.deepInclude(events, { _tag: "Warning", label: "end", message: said })
        assert.strictEqual(fs.readFileSync(at, "utf8"), text)
      })
    ))

  it.effect("finds bit rot in a small file although no time of the file has changed", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const { report } = yield* runIn(home, { rows: step("rows", { n: 1 }) })
        const artifact = report.outcomes[0]!.artifact!
        const rotten = yield* Effect.scoped(Effect.gen(function*() {
          const { ledger, store } = yield* openHome(home)
          const [at] = Object.values((yield* store.open(artifact.digest)).files)
          fs.chmodSync(at!, 0o644)
          fs.writeFileSync(at!, "0".repeat(64))
          // The disk's doing leaves the recorded stamp true.
          const stat = fs.statSync(at!, { bigint: true })
          const stamp = `${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}:${stat.ino}`
          yield* ledger.write((rows) =>
            rows.run("UPDATE blob SET stamp = ? WHERE sha256 = ?", stamp, path.basename(at!))
          )
          return path.basename(at!)
        }))
        const { events, ran } = yield* runIn(home, { rows: step("rows", { n: 1 }) })
        assert.deepStrictEqual(ran, ["rows"])
        assert.include(JSON.stringify(events), `${rotten} is corrupted (its bytes have another sha256); made again`)
      })
    ))
})

const failsWith = (home: string, pattern: RegExp) =>
  Effect.map(Effect.flip(runIn(home, chain())), (error) => {
    assert.instanceOf(error, StoreError)
    assert.match((error as StoreError).message, pattern)
  })

describe("a bad state directory", () => {
  it.effect("is a typed error when it cannot be made, opened or trusted", () =>
    withDirectory((directory) =>
      Effect.gen(function*() {
        const file = path.join(directory, "file")
        fs.writeFileSync(file, "")
        yield* failsWith(file, /file.*is expected; move/)
        yield* failsWith(path.join(file, "below"), /has a file where a directory is expected/)
        const garbage = path.join(directory, "garbage")
        fs.mkdirSync(garbage)
        fs.writeFileSync(
          path.join(garbage, "ledger.sqlite"),
          "not a database, and long enough to be looked at".repeat(200)
        )
        yield* failsWith(garbage, /ledger\.sqlite: is not a database, or is corrupted; move it away and run again/)
        const folder = path.join(directory, "folder")
        fs.mkdirSync(path.join(folder, "ledger.sqlite"), { recursive: true })
        yield* failsWith(folder, /ledger\.sqlite: cannot be opened/)
        const newer = path.join(directory, "newer")
        yield* runIn(newer, chain())
        const db = new DatabaseSync(path.join(newer, "ledger.sqlite"))
        db.exec("PRAGMA user_version = 99")
        db.close()
        yield* failsWith(newer, /was written by a newer penchant/)
      })
    ))

  it.effect("of the first version of the ledger keeps its results and their names", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        const { digests } = yield* runIn(home, chain())
        const db = new DatabaseSync(path.join(home, "ledger.sqlite"))
        db.exec(`
          DROP INDEX labelName;
          DROP INDEX labelAction;
          ALTER TABLE label RENAME TO later;
          CREATE TABLE label (
            label TEXT PRIMARY KEY, actionKey TEXT NOT NULL, at INTEGER NOT NULL, spare INTEGER NOT NULL
          ) WITHOUT ROWID;
          CREATE INDEX labelAction ON label (actionKey);
          INSERT INTO label SELECT label, actionKey, at, spare FROM later;
          DROP TABLE later;
          PRAGMA user_version = 1`)
        db.close()
        const again = yield* runIn(home, chain())
        assert.deepStrictEqual(again.ran, [])
        assert.deepStrictEqual(again.digests, digests)
        yield* Effect.scoped(Effect.gen(function*() {
          const { ledger } = yield* openHome(home)
          const listed = Object.fromEntries((yield* ls(ledger)).map(({ digest, label }) => [label, digest]))
          assert.deepStrictEqual(listed, digests)
        }))
      })
    ))

  it.effect("with pages of the ledger overwritten is a typed error that says what to do", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        yield* runIn(home, chain())
        const at = path.join(home, "ledger.sqlite")
        const bytes = fs.readFileSync(at)
        // Page 1 keeps its header; all that follows is noise.
        bytes.fill(0xa5, 200)
        fs.writeFileSync(at, bytes)
        yield* failsWith(home, /ledger\.sqlite: is corrupted; move it away and run again \(steps run again/)
        fs.renameSync(at, `${at}.bad`)
        assert.strictEqual((yield* runIn(home, chain())).ran.length, 3)
      })
    ))

  it.effect("that takes no file fails the step that writes it and loses nothing else", () =>
    withDirectory((home) =>
      Effect.gen(function*() {
        // A file where the shard of this blob must be: what a full or read-only disk does, also to root.
        const shard = path.dirname(blob(home, damaged))
        fs.mkdirSync(path.dirname(shard), { recursive: true })
        fs.writeFileSync(shard, "")
        const targets = { ...chain(), other: step("model", { n: 7 }) }
        const { report, status } = yield* runIn(home, targets)
        assert.deepStrictEqual(status, {
          "end › rows": "failed",
          "end › tokenise": "blocked",
          "end": "blocked",
          "other": "ran"
        })
        assert.match(
          report.outcomes.find(({ status }) => status === "failed")!.problem!,
          /a file where a directory is expected/
        )
        fs.rmSync(shard)
        assert.deepStrictEqual((yield* runIn(home, targets)).ran, ["end", "end › rows", "end › tokenise"])
      })
    ))
})
