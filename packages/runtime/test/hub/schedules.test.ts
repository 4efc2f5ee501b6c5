// A thousand Hubs that misbehave at random, some clients stopped in the middle: never a wrong byte under a blob's name, and
// whatever was left behind, the next fetch from a good Hub ends with the right files.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as fs from "node:fs"
import * as path from "node:path"
import { snapshotPath } from "../../src/hub/cache.ts"
import { fetchFiles } from "../../src/hub/fetchFiles.ts"
import type { Hub } from "../../src/hub/Hub.ts"
import { random as randomOf } from "../compute/fixtures.ts"
import { type Asked, type Fault, gitSha1, sha256 } from "./fakeHub.ts"
import { reasonOf, scene, wrongBlobs } from "./scene.ts"

const bytesOf = (random: () => number, length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, () => Math.floor(256 * random())))

const faults: ReadonlyArray<(random: () => number, host: Asked["host"]) => Fault> = [
  (random) => ({ cut: Math.floor(2500 * random()) }),
  (random) => ({ cut: Math.floor(2500 * random()) }),
  () => ({ status: 503 }),
  () => ({ status: 429, headers: { "retry-after": "1" } }),
  () => ({ status: 500 }),
  (_, host) => ({ status: host === "storage" ? 403 : 503 }),
  () => ({ status: 416 }),
  (random) => random() < 0.1 ? { status: 404, headers: { "x-error-code": "EntryNotFound" } } : { status: 502 },
  () => ({ wrong: true }),
  () => ({ whole: true }),
  () => ({ etag: "\"not what it says\"" }),
  () => ({ loop: true }),
  (random) => random() < 0.1 ? { stall: 100 } : { cut: 0 },
  (random) => random() < 0.1 ? { silent: true } : { cut: 1 }
]

const schedules = 1000

describe("hub schedules", () => {
  it.live(
    `${schedules} schedules of faults leave no wrong byte, and nothing that stands in the way`,
    () =>
      Effect.gen(function*() {
        const { cache, fake, provide, with: made } = yield* scene()
        const hub = made({ rangeBytes: 2048, idleTimeout: 60, answerTimeout: 60 })
        const patient = made({ rangeBytes: 2048, idleTimeout: 10_000, answerTimeout: 10_000 })
        /** By a name that is in the url or the path of every request of a schedule. */
        const misbehaviour = new Map<string, (host: Asked["host"]) => Fault | undefined>()
        fake.fault = (asked: Asked) =>
          misbehaviour.get(asked.host === "hub" ? asked.url.split("/")[1]! : asked.path)?.(asked.host)
        const outcomes = new Map<string, number>()

        const schedule = Effect.fnUntraced(function*(seed: number) {
          const random = randomOf(seed)
          const repo = `models/o${seed}/m` as const
          const own = path.join(cache, String(seed))
          const at = (client: Hub): Hub => ({ ...client, settings: { ...client.settings, cache: own } })
          // A small file of the Hub itself, or a large one of up to three ranges from the storage.
          const length = random() < 0.3 ? Math.floor(900 * random()) : 1000 + Math.floor(5000 * random())
          const files = new Map([["deep/file.bin", bytesOf(random, length)]])
          const commit = fake.commit(repo, files)
          const wanted = [...files].map(([path, bytes]) => ({
            path,
            size: bytes.length,
            oid: bytes.length >= 1000 ? sha256(bytes) : gitSha1(bytes)
          }))
          const rate = 0.9 * random()
          const liar = random() < 0.03
          const faulty = (host: Asked["host"]): Fault | undefined =>
            liar
              ? { wrong: true }
              : random() < rate
              ? faults[Math.floor(random() * faults.length)]!(random, host)
              : undefined
          for (const name of [`o${seed}`, ...wanted.map(({ oid }) => oid)]) misbehaviour.set(name, faulty)

          const whole = (): void => {
            for (const [name, bytes] of files) {
              assert.isTrue(
                bytes.equals(fs.readFileSync(snapshotPath(own, repo, commit, name))),
                `seed ${seed}: ${name}`
              )
            }
          }
          const sound = (): void =>
            assert.deepStrictEqual(wrongBlobs(own, (bytes) => [gitSha1(bytes), sha256(bytes)]), [], `seed ${seed}`)

          const fiber = yield* Effect.forkChild(provide(fetchFiles(at(hub), repo, commit, wanted)))
          if (random() < 0.3) {
            yield* Effect.sleep(Math.floor(10 * random()))
            yield* Fiber.interrupt(fiber)
          }
          const exit = yield* Fiber.await(fiber)
          sound()
          const reason = Exit.isSuccess(exit) ? "success" : Exit.hasInterrupts(exit) ? "stopped" : reasonOf(exit)
          outcomes.set(reason, (outcomes.get(reason) ?? 0) + 1)

          for (const name of [`o${seed}`, ...wanted.map(({ oid }) => oid)]) misbehaviour.delete(name)
          if (Exit.isFailure(exit)) yield* fetchFiles(at(patient), repo, commit, wanted)
          whole()
          fake.repos.delete(repo)
          fs.rmSync(own, { recursive: true })
        })

        yield* Effect.forEach(Array.from({ length: schedules }, (_, i) => i + 1), schedule, {
          concurrency: 8,
          discard: true
        })
        // The schedules are worth something: they end in every way that there is, and in no other.
        const ways = ["file", "integrity", "network", "rateLimit", "stopped", "success"]
        assert.deepStrictEqual([...outcomes.keys()].toSorted(), ways, JSON.stringify([...outcomes]))
        assert.isAbove(outcomes.get("success")!, schedules / 3)
      }).pipe(Effect.scoped),
    120_000
  )
})
