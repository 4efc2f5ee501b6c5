// Processes that are killed, that meet, and that are denied the disk.
import { afterAll, assert, describe, it } from "@effect/vitest"
import { seed } from "@penchant/dsl/Identity"
import { openHome } from "@penchant/runtime/experiment/Home"
import { isAlive, self } from "@penchant/runtime/experiment/owner"
import { sweep } from "@penchant/runtime/experiment/sweep"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { hash } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { temporary, withDirectory } from "./fakes.ts"

interface Printed {
  readonly keys: Readonly<Record<string, string>>
  readonly results: ReadonlyArray<
    { readonly actionKey: string; readonly digest: string; readonly label: string; readonly status: string }
  >
  readonly failed: boolean
  readonly problem?: string
}

// Compiled once, for all the processes that are started here.
const compiled = path.join(temporary(), "compiled")
const env = { ...process.env, NODE_COMPILE_CACHE: compiled }
afterAll(() => fs.rmSync(path.dirname(compiled), { recursive: true, force: true }))

const script = path.join(import.meta.dirname, "pipelineProcess.ts")

/** Starts the pipeline; `killAfter` milliseconds from when its plan is made, it is killed. Gives what it printed at the end. */
const start = (home: string, journal: string, { killAfter, limit, pause = 8 }: {
  readonly killAfter?: number
  readonly limit?: number
  readonly pause?: number
} = {}): Promise<Printed | undefined> =>
  new Promise((resolve, reject) => {
    const command = `${process.execPath} ${script} ${home} ${journal} ${pause}`
    const child = limit === undefined
      ? spawn(process.execPath, [script, home, journal, `${pause}`], { stdio: ["ignore", "pipe", "inherit"], env })
      // Writing past the limit fails with EFBIG instead of killing: the nearest thing to a full disk that needs no privilege.
      : spawn("bash", ["-c", `trap '' XFSZ; ulimit -f ${limit}; exec ${command}`], {
        stdio: ["ignore", "pipe", "inherit"]
      })
    let text = ""
    child.stdout!.on("data", (chunk: Buffer) => {
      const before = text
      text += chunk.toString()
      if (killAfter !== undefined && !before.includes("ready\n") && text.includes("ready\n")) {
        setTimeout(() => child.kill("SIGKILL"), killAfter)
      }
    })
    child.on("error", reject)
    child.on("close", (_, signal) => {
      const line = text.split("\n").find((at) => at.startsWith("{"))
      if (line === undefined && signal === null) reject(new Error(`the pipeline printed nothing: ${text}`))
      else resolve(line === undefined ? undefined : JSON.parse(line) as Printed)
    })
  })

const lines = (journal: string): ReadonlyArray<string> =>
  fs.existsSync(journal) ? fs.readFileSync(journal, "utf8").split("\n").filter((line) => line !== "") : []

const digestsOf = ({ results }: Printed) => Object.fromEntries(results.map(({ digest, label }) => [label, digest]))

const committed = (home: string) =>
  Effect.scoped(
    Effect.flatMap(openHome(home), ({ ledger }) =>
      ledger.read((rows) =>
        new Set(
          rows.all<{ readonly actionKey: string }>("SELECT actionKey FROM action").map((row) => row.actionKey)
        )
      ))
  )

/** Every blob of the store has the content that its name says. */
const intact = (home: string): void => {
  for (const entry of fs.readdirSync(path.join(home, "store"), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name.startsWith(".")) continue
    assert.strictEqual(hash("sha256", fs.readFileSync(path.join(entry.parentPath, entry.name))), entry.name)
  }
}

describe("kill -9", () => {
  it.live("at 20 random moments loses no committed step, and ends with the same results", () =>
    withDirectory((directory) =>
      Effect.gen(function*() {
        const home = path.join(directory, "killed")
        const journal = path.join(directory, "journal")
        // First, so that its compiled modules are there for the rest.
        const clean = (yield* Effect.promise(() =>
          start(path.join(directory, "clean"), path.join(directory, "other"))
        ))!
        let kills = 0
        let done = new Set<string>()
        for (let round = 0; kills < 20; round++) {
          const already = lines(journal).length
          // From before the first step to after the last: a whole run takes about 0.4 s.
          const killAfter = 10 + seed(round, "kill") % 300
          const printed = yield* Effect.promise(() => start(home, journal, { killAfter }))
          const repeated = lines(journal).slice(already).filter((key) => done.has(key))
          assert.deepStrictEqual(repeated, [], `round ${round}`)
          const now = yield* committed(home)
          assert.isTrue([...done].every((key) => now.has(key)), `round ${round}`)
          intact(home)
          done = now
          if (printed === undefined) kills++
          else {
            // It came through; begin again, so that there is something to kill.
            fs.rmSync(home, { recursive: true })
            done = new Set()
          }
        }
        const last = (yield* Effect.promise(() => start(home, journal)))!
        assert.strictEqual(last.results.length, 20)
        assert.deepStrictEqual(digestsOf(last), digestsOf(clean))
        // Nothing to unlock by hand: the leases of the dead are closed or can be taken, and what they left is swept.
        yield* Effect.scoped(Effect.gen(function*() {
          const opened = yield* openHome(home)
          const open = yield* opened.ledger.read((rows) =>
            rows.all<{ readonly pid: number; readonly begun: string; readonly place: string }>(
              "SELECT pid, begun, place FROM attempt WHERE ended IS NULL"
            )
          )
          assert.deepStrictEqual(open.filter((owner) => isAlive(owner, 0, 0)), [])
          yield* sweep(opened)
          assert.deepStrictEqual(fs.readdirSync(path.join(home, "scratch")), [])
        }))
      })
    ))
})

describe("two processes", () => {
  it.live("on the same pipeline share the work: every step runs once, and both end with the same results", () =>
    withDirectory((directory) =>
      Effect.gen(function*() {
        const home = path.join(directory, "home")
        const journal = path.join(directory, "journal")
        const [a, b] = yield* Effect.promise(() => Promise.all([1, 2].map(() => start(home, journal, { pause: 20 }))))
        assert.deepStrictEqual(digestsOf(a!), digestsOf(b!))
        assert.strictEqual(lines(journal).length, 20)
        assert.strictEqual(new Set(lines(journal)).size, 20)
        // Keys do not depend on the process either.
        assert.deepStrictEqual(a!.keys, b!.keys)
        const statuses = [...a!.results, ...b!.results].map(({ status }) => status)
        assert.strictEqual(statuses.filter((status) => status === "ran").length, 20)
        assert.strictEqual(statuses.filter((status) => status === "hit").length, 20)
      })
    ))
})

describe("a full disk", () => {
  it.live("is a typed error, and what was done before stays", () =>
    withDirectory((directory) =>
      Effect.gen(function*() {
        const home = path.join(directory, "home")
        const journal = path.join(directory, "journal")
        // 8 KiB per file (ulimit counts KiB in bash): the ledger itself cannot be made.
        const first = yield* Effect.promise(() => start(home, journal, { limit: 8 }))
        assert.deepInclude(first as unknown, { error: "StoreError" })
        fs.rmSync(home, { recursive: true })
        yield* Effect.promise(() => start(home, journal, { killAfter: 60 }))
        const before = yield* committed(home)
        // 24 KB weights do not fit any more.
        const second = (yield* Effect.promise(() => start(home, journal, { limit: 20 })))!
        assert.match(JSON.stringify(second), /StoreError|larger than this system allows|disk is full|disk error/)
        const after = yield* committed(home)
        assert.isTrue([...before].every((key) => after.has(key)))
        const third = (yield* Effect.promise(() => start(home, journal)))!
        assert.isFalse(third.failed)
        intact(home)
      })
    ))
})

describe("an owner", () => {
  it("is alive while its process runs and started when it says, wherever it says it is", () => {
    const here = self()
    assert.isTrue(isAlive(here, 0, 1e9))
    // The pid was given to another process since; or nobody has it.
    assert.isFalse(isAlive({ ...here, begun: "1" }, 1e9, 1e9))
    assert.isFalse(isAlive({ ...here, pid: 2 ** 22 + 1 }, 1e9, 1e9))
    // On another machine only the heartbeat counts: 30 s without one.
    const elsewhere = { ...here, place: "another machine" }
    assert.isTrue(isAlive(elsewhere, 1_000_000, 1_029_999))
    assert.isFalse(isAlive(elsewhere, 1_000_000, 1_030_000))
  })

  it.live("that was killed is found dead before its parent has noticed", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" })
      yield* Effect.sleep(50)
      const begun = fs.existsSync("/proc")
        ? fs.readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1]!.split(" ")[19]!
        : undefined
      if (begun !== undefined) {
        const owner = { ...self(), pid: child.pid!, begun }
        assert.isTrue(isAlive(owner, 0, 0))
        child.kill("SIGKILL")
        // A zombie until it is waited for.
        yield* Effect.sleep(20)
        assert.isFalse(isAlive(owner, 0, 0))
      }
      child.kill("SIGKILL")
      fs.rmSync(directory, { recursive: true })
    }))
})
