// A process killed in the middle of a file leaves what another goes on from, and no lock that anybody must remove.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as path from "node:path"
import { blobPath } from "../../src/hub/cache.ts"
import { partialPath } from "../../src/hub/partial.ts"
import { gitSha1, sha256 } from "./fakeHub.ts"
import { fetchAll, scene, wrongBlobs } from "./scene.ts"

const repo = "models/o/m"

describe("a killed fetch", () => {
  it.live("is taken up where it was, by the next process", () =>
    Effect.gen(function*() {
      const { cache, fake, hub } = yield* scene()
      const bytes = Buffer.from(Uint8Array.from({ length: 20_000 }, (_, i) => (i * 31) % 251))
      fake.commit(repo, new Map([["weights.bin", bytes]]))
      const blob = blobPath(cache, repo, sha256(bytes))
      // Every range gives a bit more and then hangs, until the process is killed.
      fake.fault = ({ route }) => route === "storage" ? { stall: 700 } : undefined
      const sizes: Array<number> = []
      for (const [kill, expected] of [4 * 700, 8 * 700].entries()) {
        const child = spawn(process.execPath, [path.join(import.meta.dirname, "fetchProcess.ts"), repo], {
          env: { ...process.env, HF_ENDPOINT: fake.endpoint, HF_HUB_CACHE: cache, HF_HUB_DOWNLOAD_TIMEOUT: "600" },
          stdio: "ignore"
        })
        const ended = once(child, "exit")
        yield* Effect.promise(async () => {
          const cursors = `${blob}.penchant.cursors`
          const here = (): number => {
            const file = fs.existsSync(cursors) ? fs.readFileSync(cursors) : Buffer.alloc(0)
            if (file.length !== 48) return 0
            return [0, 1, 2, 3, 4].reduce((sum, i) => sum + file.readDoubleLE(8 * (i + 1)) - 4096 * i, 0)
          }
          while (here() < expected && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 10))
          sizes.push(here())
          child.kill("SIGKILL")
          await ended
        })
        assert.strictEqual(sizes[kill], expected)
        assert.isFalse(fs.existsSync(blob))
        assert.isTrue(fs.existsSync(partialPath(blob)))
      }
      fake.fault = () => undefined
      const before = fake.asked.length
      const { files: [fetched] } = yield* fetchAll(hub, repo)
      assert.isTrue(bytes.equals(fs.readFileSync(fetched!.at)))
      assert.deepStrictEqual(
        fake.asked.slice(before).filter(({ route }) => route === "storage").map(({ range }) => range).toSorted(),
        ["bytes=1400-4095", "bytes=13688-16383", "bytes=16384-19999", "bytes=5496-8191", "bytes=9592-12287"].toSorted()
      )
      assert.deepStrictEqual(wrongBlobs(cache, (bytes) => [gitSha1(bytes), sha256(bytes)]), [])
    }).pipe(Effect.scoped), 60_000)
})
