// Fetching from a Hub that behaves, and from one that does not: what ends up in the cache is right, or nothing does.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { blobPath, readRef, snapshotPath } from "../../src/hub/cache.ts"
import { fetchFiles } from "../../src/hub/fetchFiles.ts"
import { listFiles, resolveCommit } from "../../src/hub/repository.ts"
import { type Asked, type Fault, gitSha1, sha256, tokens } from "./fakeHub.ts"
import { awkward, fetchAll, reasonOf, scene, token, wrongBlobs } from "./scene.ts"

const repo = "datasets/org/name"
const names = (bytes: Buffer) => [gitSha1(bytes), sha256(bytes)]

/** The first `times` answers of a route to a file are at fault. */
const first = (times: number, route: Asked["route"], fault: Fault, path?: string) => {
  let left = times
  return (asked: Asked): Fault | undefined =>
    asked.route === route && (path === undefined || asked.path === path) && left-- > 0 ? fault : undefined
}

describe("hub", () => {
  it.live("fetches every kind of file into the layout that Python reads", () =>
    Effect.gen(function*() {
      const { cache, fake, hub } = yield* scene()
      const files = awkward()
      const sha = fake.commit(repo, files)
      const { commit, files: fetched } = yield* fetchAll(hub, repo)
      assert.strictEqual(commit, sha)
      assert.strictEqual(yield* Effect.promise(() => readRef(cache, repo, "main")), sha)
      assert.deepStrictEqual(fetched.map((file) => file.path), [...files.keys()].toSorted())
      for (const [name, bytes] of files) {
        const at = snapshotPath(cache, repo, sha, name)
        assert.isTrue(bytes.equals(fs.readFileSync(at)), name)
        const oid = bytes.length >= 1000 ? sha256(bytes) : gitSha1(bytes)
        assert.strictEqual(fs.readlinkSync(at).split("/").at(-1), oid)
        assert.isFalse(path.isAbsolute(fs.readlinkSync(at)))
        assert.strictEqual(fs.realpathSync(at), fs.realpathSync(blobPath(cache, repo, oid)))
      }
      assert.isUndefined(fake.asked.find(({ path }) => path === "empty.txt"), "an empty file needs no request")
      assert.lengthOf(fake.asked.filter(({ path, route }) => route === "resolve" && path === "weights.safetensors"), 5)
      const before = fake.asked.length
      yield* fetchFiles(hub, repo, sha, fetched)
      assert.strictEqual(fake.asked.length, before, "what is there is not fetched again")
    }).pipe(Effect.scoped))

  it.live("sends the token to the Hub and nowhere else", () =>
    Effect.gen(function*() {
      const scene_ = yield* scene()
      scene_.fake.commit(repo, awkward(), "private")
      yield* fetchAll(scene_.with(token(tokens.good)), repo)
      const hosts = (host: Asked["host"]) =>
        new Set(scene_.fake.asked.filter((a) => a.host === host).map((a) => a.token))
      assert.deepStrictEqual([...hosts("hub")], [`Bearer ${tokens.good}`])
      assert.deepStrictEqual([...hosts("storage")], [undefined])
    }).pipe(Effect.scoped))

  it.live("tells missing, private, gated, disabled, a bad token and a missing revision apart", () =>
    Effect.gen(function*() {
      const { fake, hub, with: made } = yield* scene()
      const files = new Map([["x.txt", Buffer.from("x")]])
      fake.commit("models/o/public", files)
      fake.commit("models/o/private", files, "private")
      fake.commit("models/o/gated", files, "gated")
      fake.commit("models/o/disabled", files, "disabled")
      const outcome = (id: string, given = hub, revision = "main") =>
        Effect.map(Effect.exit(fetchAll(given, `models/o/${id}`, revision)), reasonOf)
      const other = made(token(tokens.unapproved))
      assert.strictEqual(yield* outcome("nothing"), "private")
      assert.strictEqual(yield* outcome("private"), "private")
      assert.strictEqual(yield* outcome("nothing", other), "missing")
      assert.strictEqual(yield* outcome("private", other), "missing")
      assert.strictEqual(yield* outcome("private", made(token(tokens.good))), "success")
      assert.strictEqual(yield* outcome("gated"), "gated")
      assert.strictEqual(yield* outcome("gated", other), "gated")
      assert.strictEqual(yield* outcome("gated", made(token(tokens.good))), "success")
      assert.strictEqual(yield* outcome("disabled"), "disabled")
      assert.strictEqual(yield* outcome("public", made(token("wrong"))), "token")
      assert.strictEqual(yield* outcome("public", made(token("two\nlines"))), "token")
      assert.strictEqual(yield* outcome("public", hub, "refs/pr/7"), "revision")
      assert.strictEqual(yield* outcome("public"), "success")
      const sha = fake.repos.get("models/o/public")!.commits[0]!.sha
      const gone = yield* Effect.flip(
        fetchFiles(hub, "models/o/public", sha, [{ path: "y z.txt", size: 1, oid: "a".repeat(40) }])
      )
      assert.strictEqual(gone.message, "models/o/public: has no file y z.txt at this revision")
    }).pipe(Effect.scoped))

  it.live("reads branches with slashes, and stays at a commit while its branch moves", () =>
    Effect.gen(function*() {
      const { cache, fake, hub } = yield* scene()
      const one = fake.commit(repo, new Map([["x", Buffer.from("1")]]))
      fake.repos.get(repo)!.refs.set("refs/pr/1", 0)
      const two = fake.commit(repo, new Map([["x", Buffer.from("2")]]))
      assert.strictEqual(yield* resolveCommit(hub, repo, "refs/pr/1"), one)
      assert.strictEqual(yield* Effect.promise(() => readRef(cache, repo, "refs/pr/1")), one)
      assert.strictEqual(yield* resolveCommit(hub, repo, "main"), two)
      const files = yield* listFiles(hub, repo, one)
      const [fetched] = yield* fetchFiles(hub, repo, one, files)
      assert.strictEqual(fs.readFileSync(fetched!.at, "utf8"), "1")
    }).pipe(Effect.scoped))

  it.live("answers from the cache alone when offline, and says what is missing", () =>
    Effect.gen(function*() {
      const { fake, hub, with: made } = yield* scene()
      const sha = fake.commit(repo, awkward())
      const { files } = yield* fetchAll(hub, repo)
      const offline = made({ offline: true })
      const before = fake.asked.length
      assert.lengthOf(yield* fetchFiles(offline, repo, sha, files), 6)
      fs.rmSync(files[0]!.at)
      fs.rmSync(blobPath(hub.settings.cache, repo, files[0]!.oid))
      const missing = yield* Effect.flip(fetchFiles(offline, repo, sha, files))
      assert.strictEqual(missing.reason, "offline")
      assert.include(missing.message, files[0]!.path)
      assert.strictEqual(fake.asked.length, before)
    }).pipe(Effect.scoped))

  it.live("replaces a blob that a careless client left, and refuses names that leave the cache", () =>
    Effect.gen(function*() {
      const { fake, hub } = yield* scene()
      const files = awkward()
      const sha = fake.commit(repo, files)
      const { files: fetched } = yield* fetchAll(hub, repo)
      const weights = fetched.find(({ path }) => path === "weights.safetensors")!
      fs.truncateSync(fs.realpathSync(weights.at), 100)
      yield* fetchFiles(hub, repo, sha, [weights])
      assert.isTrue(files.get("weights.safetensors")!.equals(fs.readFileSync(weights.at)))
      fake.commit("models/o/evil", new Map([["../../x", Buffer.from("x")]]))
      assert.strictEqual(reasonOf(yield* Effect.exit(fetchAll(hub, "models/o/evil"))), "protocol")
    }).pipe(Effect.scoped))
})

describe("hub faults", () => {
  const weights = "weights.safetensors"
  const cases: Record<string, (asked: Asked) => Fault | undefined> = {
    "a body cut off, three times": first(3, "storage", { cut: 1500 }),
    "a small file cut off before its first byte": first(1, "resolve", { cut: 0 }, "config.json"),
    "a body that stalls": first(1, "storage", { stall: 1000 }),
    "an answer that never comes": first(1, "resolve", { silent: true }),
    "503 five times": first(5, "resolve", { status: 503 }, weights),
    "429 at the listing": first(2, "tree", { status: 429, headers: { "retry-after": "2" } }),
    "500 at the revision": first(2, "info", { status: 500 }),
    "a signature that ran out": first(2, "storage", { status: 403 }),
    "416 for a range that is there": first(1, "storage", { status: 416 }),
    "the whole file instead of a range": first(20, "storage", { whole: true }),
    "wrong bytes of the right length": first(1, "storage", { wrong: true }),
    "another ETag": (asked) => asked.route === "resolve" ? { etag: "\"0000\"" } : undefined,
    "a redirect to itself": first(2, "resolve", { loop: true })
  }
  for (const [name, fault] of Object.entries(cases)) {
    it.live(`gets the right bytes after ${name}`, () =>
      Effect.gen(function*() {
        const { cache, fake, hub, provide, with: made } = yield* scene()
        const files = awkward()
        const sha = fake.commit(repo, files)
        fake.fault = fault
        const hasty = /stalls|never comes/.test(name)
        yield* provide(fetchAll(hasty ? made({ answerTimeout: 300, idleTimeout: 300 }) : hub, repo))
        for (const [name, bytes] of files) {
          assert.isTrue(bytes.equals(fs.readFileSync(snapshotPath(cache, repo, sha, name))), name)
        }
        assert.deepStrictEqual(wrongBlobs(cache, names), [])
        const left = fs.readdirSync(path.join(cache, "datasets--org--name", "blobs")).filter((at) => at.includes("."))
        assert.deepStrictEqual(left, [])
      }).pipe(Effect.scoped))
  }

  it.live("goes on where it stopped, also in another client", () =>
    Effect.gen(function*() {
      const { cache, fake, hub, provide, with: made } = yield* scene()
      const bytes = awkward().get(weights)!
      fake.commit(repo, new Map([[weights, bytes]]))
      // Each answer gives 100 bytes and breaks off; then the storage is gone for good.
      let answers = 0
      fake.fault = ({ route }) => route === "storage" ? (++answers > 20 ? { status: 503 } : { cut: 100 }) : undefined
      const failed = yield* Effect.flip(provide(fetchAll(hub, repo)))
      assert.strictEqual(failed.reason, "network")
      assert.deepStrictEqual(wrongBlobs(cache, names), [])
      fake.fault = () => undefined
      const before = fake.asked.length
      const { files: [fetched] } = yield* fetchAll(made({}), repo)
      assert.isTrue(bytes.equals(fs.readFileSync(fetched!.at)))
      const starts = fake.asked.slice(before).filter(({ route }) => route === "storage")
        .map(({ range }) => Number(/\d+/.exec(range ?? "")?.[0]))
      const resumed = starts.reduce((sum, start) => sum + start % 4096, 0)
      assert.strictEqual(resumed, 2000, "20 answers of 100 bytes are not asked for again")
    }).pipe(Effect.scoped))

  it.live("gives up with what to do: a stubborn 503, a stubborn 429, bytes that are always wrong", () =>
    Effect.gen(function*() {
      const { cache, fake, hub, provide, slept } = yield* scene()
      fake.commit(repo, new Map([[weights, awkward().get(weights)!]]))
      fake.fault = ({ route }) => route === "info" ? { status: 503 } : undefined
      const busy = yield* Effect.flip(provide(fetchAll(hub, repo)))
      assert.strictEqual(busy.reason, "network")
      assert.include(busy.message, "answered 503 (6 tries")
      for (const [i, least] of [500, 1000, 2000, 4000, 8000].entries()) {
        assert.isAtLeast(slept[i]!, least)
        assert.isAtMost(slept[i]!, 3 * least)
      }
      fake.fault = ({ route }) =>
        route === "info" ? { status: 429, headers: { ratelimit: "\"api\";r=0;t=41", "retry-after": "1" } } : undefined
      const limited = yield* Effect.flip(provide(fetchAll(hub, repo)))
      assert.strictEqual(limited.reason, "rateLimit")
      assert.isTrue(slept.slice(5).every((ms) => ms >= 42_000 && ms <= 43_000), String(slept.slice(5)))
      fake.fault = ({ route }) => route === "storage" ? { wrong: true } : undefined
      const wrong = yield* Effect.flip(provide(fetchAll(hub, repo)))
      assert.strictEqual(wrong.reason, "integrity")
      assert.deepStrictEqual(wrongBlobs(cache, names), [])
      assert.isEmpty(fs.readdirSync(path.join(cache, "datasets--org--name", "blobs")))
    }).pipe(Effect.scoped))

  it.live("says that the disk is full, and keeps nothing wrong", () =>
    Effect.gen(function*() {
      const { cache, fake, hub } = yield* scene()
      const bytes = awkward().get("middle.bin")!
      fake.commit(repo, new Map([["middle.bin", bytes]]))
      const blob = blobPath(cache, repo, sha256(bytes))
      fs.mkdirSync(path.dirname(blob), { recursive: true })
      fs.symlinkSync("/dev/full", `${blob}.penchant.incomplete`)
      const full = yield* Effect.flip(fetchAll(hub, repo))
      assert.strictEqual(full.reason, "disk")
      assert.include(full.message, "the disk is full")
      assert.isFalse(fs.existsSync(blob))
    }).pipe(Effect.scoped))

  it.live("keeps the files that are done when another fails", () =>
    Effect.gen(function*() {
      const { cache, fake, hub } = yield* scene()
      const sha = fake.commit(repo, awkward())
      fake.fault = ({ path, route }) => route === "resolve" && path === "config.json" ? { status: 404 } : undefined
      yield* Effect.flip(fetchAll(hub, repo))
      assert.isTrue(fs.existsSync(snapshotPath(cache, repo, sha, weights)))
      assert.isFalse(fs.existsSync(snapshotPath(cache, repo, sha, "config.json")))
    }).pipe(Effect.scoped))

  it.live("fetches a file once when several ask for it at the same time", () =>
    Effect.gen(function*() {
      const { fake, hub, with: made } = yield* scene()
      fake.commit(repo, new Map([[weights, awkward().get(weights)!]]))
      yield* Effect.all([fetchAll(hub, repo), fetchAll(made({}), repo), fetchAll(made({}), repo)], { concurrency: 3 })
      assert.lengthOf(fake.asked.filter(({ route }) => route === "storage"), 5)
    }).pipe(Effect.scoped))
})
