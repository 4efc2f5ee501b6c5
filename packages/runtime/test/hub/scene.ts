// A fake Hub with one repository of awkward files, a cache in a temporary directory, and a client between them.
import type { HubError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fetchFiles } from "../../src/hub/fetchFiles.ts"
import { type Hub, makeHub } from "../../src/hub/Hub.ts"
import { listFiles, resolveCommit } from "../../src/hub/repository.ts"
import { type HubSettings, settingsOf } from "../../src/hub/Settings.ts"
import { type FakeHub, fakeHub, type FakeOptions } from "./fakeHub.ts"
import { fastClock } from "./fastClock.ts"

/** Small and large, nested, empty, with names that need encoding. Range size is 4 KiB below, so `weights` is five ranges. */
export const awkward = (): Map<string, Buffer> =>
  new Map([
    ["config.json", Buffer.from("{\"a\": 1}\n")],
    ["empty.txt", Buffer.alloc(0)],
    ["a b#?.json", Buffer.from("[\"odd\"]")],
    ["data/très/deep/é.jsonl", Buffer.from("{}\n{}\n")],
    ["weights.safetensors", randomBytes(20_000)],
    ["middle.bin", randomBytes(3_000)]
  ])

export interface Scene {
  readonly fake: FakeHub
  readonly cache: string
  readonly hub: Hub
  readonly with: (settings: Partial<HubSettings>) => Hub
  readonly slept: ReadonlyArray<number>
  readonly provide: ReturnType<typeof fastClock>["provide"]
}

/** Blobs are synced to the disk, which a test has no need to wait for. */
const memory = ["/dev/shm"].find((at) => fs.existsSync(at))

export const scene = (options: FakeOptions = {}) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const fake = await fakeHub(options)
      const directory = fs.mkdtempSync(path.join(memory ?? os.tmpdir(), "penchant-hub-"))
      const cache = path.join(directory, "hub")
      const settings: HubSettings = {
        ...settingsOf({ HOME: directory, HF_ENDPOINT: fake.endpoint, HF_HUB_CACHE: cache }),
        rangeBytes: 4096
      }
      const made = (over: Partial<HubSettings>): Hub => makeHub({ ...settings, ...over })
      return { fake, cache, directory, hub: made({}), with: made, ...fastClock() }
    }),
    ({ directory, fake }) =>
      Effect.promise(async () => {
        await fake.close()
        fs.rmSync(directory, { recursive: true, force: true })
      })
  )

export const token = (text: string): Partial<HubSettings> => ({ token: Redacted.make(text) })

/** Resolves, lists and fetches everything. */
export const fetchAll = Effect.fnUntraced(
  function*(hub: Hub, repo: `models/${string}` | `datasets/${string}`, revision = "main") {
    const commit = yield* resolveCommit(hub, repo, revision)
    const files = yield* listFiles(hub, repo, commit)
    return { commit, files: yield* fetchFiles(hub, repo, commit, files) }
  }
)

export const reasonOf = (exit: Exit.Exit<unknown, HubError>): string => {
  if (Exit.isSuccess(exit)) return "success"
  const error = exit.cause.reasons[0]
  return error?._tag === "Fail" ? error.error.reason : `defect: ${String(exit.cause)}`
}

/** Every blob of a cache whose bytes are not what its name says. */
export const wrongBlobs = (cache: string, names: (bytes: Buffer) => ReadonlyArray<string>): ReadonlyArray<string> =>
  fs.globSync("*/blobs/*", { cwd: cache })
    .filter((at) => /^[0-9a-f]+$/.test(path.basename(at)))
    .filter((at) => !names(fs.readFileSync(path.join(cache, at))).includes(path.basename(at)))
