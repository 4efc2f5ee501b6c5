// Settings as Python's client reads them from the environment, what answers ask for, and where requests go.
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as fs from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { exhausted, failureOf, Transient, waitOf } from "../../src/hub/failure.ts"
import { settingsOf } from "../../src/hub/Settings.ts"
import { awkward, fetchAll, scene } from "./scene.ts"

const homes: Array<string> = []
afterAll(() => homes.forEach((at) => fs.rmSync(at, { recursive: true })))

const home = (token?: string): string => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "penchant-hub-home-"))
  homes.push(directory)
  if (token !== undefined) {
    fs.mkdirSync(path.join(directory, ".cache/huggingface"), { recursive: true })
    fs.writeFileSync(path.join(directory, ".cache/huggingface/token"), token)
  }
  return directory
}

describe("hub settings", () => {
  it("finds cache, endpoint and token where Python finds them", () => {
    const HOME = home("hf_file\n")
    const plain = settingsOf({ HOME })
    assert.strictEqual(plain.cache, path.join(HOME, ".cache/huggingface/hub"))
    assert.strictEqual(plain.endpoint, "https://huggingface.co")
    assert.strictEqual(Redacted.value(plain.token!), "hf_file")
    assert.notInclude(`${String(plain.token)} ${JSON.stringify(plain)}`, "hf_file")
    assert.deepStrictEqual([plain.answerTimeout, plain.idleTimeout, plain.offline], [10_000, 10_000, false])

    assert.strictEqual(settingsOf({ HOME, XDG_CACHE_HOME: "/x" }).cache, "/x/huggingface/hub")
    assert.strictEqual(settingsOf({ HOME, HF_HOME: "~/hf", XDG_CACHE_HOME: "/x" }).cache, path.join(HOME, "hf/hub"))
    assert.strictEqual(settingsOf({ HOME, HF_HOME: "/h", HUGGINGFACE_HUB_CACHE: "/old" }).cache, "/old")
    assert.strictEqual(settingsOf({ HOME, HF_HUB_CACHE: "/new", HUGGINGFACE_HUB_CACHE: "/old" }).cache, "/new")
    assert.strictEqual(settingsOf({ HOME, HF_ENDPOINT: "https://mirror/hf/" }).endpoint, "https://mirror/hf")
    assert.strictEqual(Redacted.value(settingsOf({ HOME, HF_TOKEN: " t " }).token!), "t")
    assert.isUndefined(settingsOf({ HOME: home(), HF_TOKEN: "" }).token)
    assert.isTrue(settingsOf({ HOME, HF_HUB_OFFLINE: "1" }).offline)
    assert.isFalse(settingsOf({ HOME, HF_HUB_OFFLINE: "0" }).offline)
    assert.strictEqual(settingsOf({ HOME, HF_HUB_DOWNLOAD_TIMEOUT: "2.5" }).idleTimeout, 2500)
    assert.strictEqual(settingsOf({ HOME, HF_HUB_ETAG_TIMEOUT: "soon" }).answerTimeout, 10_000)
  })

  it("reads how long to wait", () => {
    const now = Date.parse("2026-01-01T00:00:00Z")
    const wait = (headers: Record<string, string>) => waitOf(new Headers(headers), now)
    assert.strictEqual(wait({ "retry-after": "7" }), 7000)
    assert.strictEqual(wait({ "retry-after": "Thu, 01 Jan 2026 00:00:30 GMT" }), 30_000)
    assert.strictEqual(wait({ "retry-after": "Wed, 31 Dec 2025 00:00:00 GMT" }), 0)
    assert.strictEqual(wait({ "retry-after": "soon" }), undefined)
    assert.strictEqual(wait({ ratelimit: "\"resolvers\";r=0;t=55", "retry-after": "1" }), 56_000)
    assert.strictEqual(wait({ ratelimit: "\"resolvers\";r=10;t=55" }), undefined)
    assert.strictEqual(wait({}), undefined)
  })

  it.live("says which setting cannot be used, before anything is asked", () =>
    Effect.gen(function*() {
      const { fake, with: made } = yield* scene()
      fake.commit("models/o/m", awkward())
      const proxies = { httpProxy: "ftp://me:secret@proxy", httpsProxy: "", noProxy: "" }
      const failures = yield* Effect.forEach(
        [made({ endpoint: "huggingface.co" }), made({ proxies }), made({ token: Redacted.make("a\"b c") })],
        (hub) => Effect.flip(fetchAll(hub, "models/o/m"))
      )
      assert.deepStrictEqual(failures.map(({ message }) => message), [
        "models/o/m: HF_ENDPOINT is huggingface.co (it begins with https://)",
        "models/o/m: a proxy cannot be used: ftp://proxy (HTTPS_PROXY and HTTP_PROXY begin with http:// or https://)",
        "models/o/m: HF_TOKEN or the token file holds characters that no token has (look for line breaks and quotation marks in it)"
      ])
      assert.isEmpty(fake.asked)
    }).pipe(Effect.scoped))

  it("does not show the token to a page that wants it, nor take a proxy's page for the Hub's word", () => {
    const asked = {
      repo: "models/o/m",
      url: "https://huggingface.co/api/models/o/m",
      settings: settingsOf({ HOME: home() })
    }
    const proxy = failureOf(asked, 407, new Headers(), "<html>log in</html>")
    assert.strictEqual((proxy as Error).message, "models/o/m: huggingface.co answered 407")
    assert.instanceOf(failureOf(asked, 503, new Headers(), ""), Transient)
    const storage = { ...asked, url: "https://us.aws.cdn.hf.co/x" }
    assert.instanceOf(failureOf(storage, 403, new Headers(), ""), Transient)
  })

  it.live("asks nothing under HF_HUB_OFFLINE, not even of a commit", () =>
    Effect.gen(function*() {
      const { fake, with: made } = yield* scene()
      const commit = fake.commit("models/o/m", awkward())
      for (const revision of ["main", commit]) {
        const { message } = yield* Effect.flip(fetchAll(made({ offline: true }), "models/o/m", revision))
        assert.match(message, /^models\/o\/m: HF_HUB_OFFLINE is set, so .* cannot be asked \(unset it\)$/)
      }
      assert.isEmpty(fake.asked)
    }).pipe(Effect.scoped))

  it("names the proxy that may be at fault, without its password", () => {
    const settings = settingsOf({ HOME: home(), HTTPS_PROXY: "http://me:secret@10.0.0.1:3128", https_proxy: "" })
    const asked = { repo: "models/o/m", url: "https://huggingface.co/api/models/o/m", settings }
    const { message } = exhausted(asked, new Transient("no answer from huggingface.co: connect ECONNREFUSED"), 6)
    assert.include(
      message,
      "the proxy http://10.0.0.1:3128, which requests go through unless NO_PROXY names their host"
    )
    assert.notInclude(message, "secret")
  })

  it.live("goes through a proxy, except to the hosts that need none", () =>
    Effect.gen(function*() {
      const { fake, with: made } = yield* scene()
      fake.commit("models/o/m", awkward())
      const asked: Array<string> = []
      const proxy = http.createServer((request, response) => {
        const url = new URL(request.url ?? "")
        asked.push(url.hostname)
        const onward = http.request(url, { headers: request.headers }, (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers)
          answer.pipe(response)
        })
        onward.end()
      })
      yield* Effect.acquireRelease(
        Effect.promise(() => new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))),
        () =>
          Effect.sync(() => {
            proxy.closeAllConnections()
            proxy.close()
          })
      )
      const httpProxy = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
      const hub = made({ proxies: { httpProxy, httpsProxy: "", noProxy: "127.0.0.1" } })
      yield* fetchAll(hub, "models/o/m")
      assert.deepStrictEqual([...new Set(asked)], ["localhost"])
    }).pipe(Effect.scoped))
})
