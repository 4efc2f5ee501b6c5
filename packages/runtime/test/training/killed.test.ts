// kill -9 at random moments of a run, restarted each time: nothing that is left behind may change a byte of the result.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { below, random } from "../../src/platform/random.ts"
import { scratch } from "./scratch.ts"

const script = fileURLToPath(new URL("./killed.ts", import.meta.url))

interface Ended {
  readonly killed: boolean
  /** The line with the digests; undefined when the run did not come to its end. */
  readonly result: string | undefined
  /** Batches for which there was no room. */
  readonly refused: number
}

/** Runs the child; `after` milliseconds into its training it is killed, unless it has ended by then. */
const child = (directory: string, cache: string, delay: number, after?: number, room?: number) =>
  Effect.callback<Ended>((resume) => {
    const running = spawn(process.execPath, [
      script,
      directory,
      String(delay),
      ...(room === undefined ? [] : [String(room)])
    ], {
      env: { ...process.env, NODE_COMPILE_CACHE: cache },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let [out, err] = ["", ""]
    let timer: NodeJS.Timeout | undefined
    running.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()))
    running.stdout.on("data", (chunk: Buffer) => {
      out += chunk.toString()
      if (after !== undefined && out.includes("running")) timer ??= setTimeout(() => running.kill("SIGKILL"), after)
    })
    running.on("close", (code, signal) => {
      clearTimeout(timer)
      const result = /done .*/.exec(out)?.[0]
      resume(
        code === 0 || signal === "SIGKILL"
          ? Effect.succeed({ killed: signal === "SIGKILL", result, refused: out.split("refused").length - 1 })
          : Effect.die(new Error(`the child ended with ${code}: ${err}`))
      )
    })
    return Effect.sync(() => running.kill("SIGKILL"))
  })

describe("kill -9", () => {
  it.live(
    "at 20 random moments of 12-step runs: every run ends with the same bytes",
    () =>
      Effect.scoped(Effect.gen(function*() {
        const cache = yield* scratch
        const expected = (yield* child(yield* scratch, cache, 0)).result
        assert.match(expected ?? "", /^done [0-9a-f]{64} [0-9a-f]{64}$/)
        /** Ten kills, over as many runs as they take, and then one run to its end. */
        const chain = Effect.fnUntraced(function*(seed: number) {
          const draw = random(seed)
          let [kills, resumed] = [0, 0]
          let directory = yield* scratch
          for (let ended = false; kills < 10 || !ended;) {
            if (fs.existsSync(path.join(directory, "checkpoints"))) resumed += 1
            // A run takes about 12 steps of 5 engine runs of 2 ms, and its writes.
            const { killed, result } = yield* child(directory, cache, 2, kills < 10 ? below(120, draw) : undefined)
            if (killed) kills += 1
            ended = result !== undefined
            if (!ended) continue
            assert.strictEqual(result, expected)
            directory = yield* scratch
          }
          return { kills, resumed }
        })
        const chains = yield* Effect.forEach([1, 2], chain, { concurrency: 2 })
        assert.deepStrictEqual(chains.map(({ kills }) => kills), [10, 10])
        for (const { resumed } of chains) assert.isAbove(resumed, 2)
      })),
    180_000
  )

  it.live("after the device was full goes on at the size that fitted, and ends with the bytes of the run that was not killed", () =>
    Effect.scoped(Effect.gen(function*() {
      const cache = yield* scratch
      const whole = yield* child(yield* scratch, cache, 0, undefined, 25)
      assert.isAbove(whole.refused, 0)
      const directory = yield* scratch
      const checkpoints = path.join(directory, "checkpoints")
      // One that the kill left half-written has another name.
      const saved = (): boolean =>
        fs.existsSync(checkpoints) && fs.readdirSync(checkpoints).some((name) => name.startsWith("step-"))
      // Long enough for a step; a run that was killed before its first checkpoint is started over.
      let killed = yield* child(directory, cache, 5, 150, 25)
      while (!saved()) killed = yield* child(directory, cache, 5, 150, 25)
      assert.isUndefined(killed.result)
      const rest = yield* child(directory, cache, 0, undefined, 25)
      assert.strictEqual(rest.refused, 0)
      assert.strictEqual(rest.result, whole.result)
    })))
})
