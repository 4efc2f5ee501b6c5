// The torch engine on the CPU, where a libtorch is installed: what every float32 engine must do, and what it frees.
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { start as startOracle } from "../../src/compute/reference/backend.ts"
import { liveTensors, start } from "../../src/compute/torch/backend.ts"
import { discover } from "../../src/compute/torch/discovery.ts"
import { laneCount } from "../../src/compute/torch/lanes.ts"
import { isLost, isOutOfMemory, TorchError } from "../../src/compute/torch/native.ts"
import { tinyLlama } from "./fixtures.ts"
import { batchOf, float32, float32Engine, groupsOf, largest } from "./float32Engine.ts"

const found = discover()
const missing = "problem" in found ? found.problem : undefined
if (missing !== undefined) console.log(`SKIPPED: the tests of the torch engine: ${missing}`)

describe("errors of libtorch", () => {
  const kinds = (text: string) => {
    const error = new TorchError(text)
    return [isOutOfMemory(error), isLost(error)]
  }
  it("say whether there was no room, whether the device is gone, or neither", () => {
    assert.deepStrictEqual(kinds("mm: CUDA out of memory. Tried to allocate 2.00 GiB"), [true, false])
    assert.deepStrictEqual(kinds("mm: CUDA error: an illegal memory access was encountered"), [false, true])
    assert.deepStrictEqual(kinds("mm: CUDA error: unspecified launch failure"), [false, true])
    assert.deepStrictEqual(kinds("mm: CUDA error: no kernel image is available for execution on the device"), [
      false,
      false
    ])
    assert.deepStrictEqual(kinds("mm: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"), [false, false])
  })
})

describe.skipIf(missing !== undefined)("torch", async () => {
  const backend = missing === undefined ? await start({ threads: 2 }) : await startOracle({})
  float32Engine(backend)

  describe("lanes", () => {
    const model = float32(tinyLlama(3))
    const batch = batchOf([
      { prompt: [1, 2, 3, 4], branches: [[5, 6, 7], [8]] },
      { prompt: [9], branches: [[10, 11], [12, 13, 14, 15]] },
      { prompt: [16, 17], branches: [[18, 19], [20]] }
    ])
    const trained = async (threads: number) => {
      const engine = await start({ threads })
      const session = await engine.open(model, {})
      const update = { learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 }
      for (let step = 0; step < 3; step++) {
        await session.forward(batch)
        await session.backward(Float64Array.from(batch.targets, (_, n) => Math.sin(n + step)))
        await session.update(update)
      }
      const { parameters } = await session.weights()
      await session.close()
      await engine.close()
      return parameters
    }
    it("give the same bits in every run, and with one lane the same numbers", async () => {
      const first = await trained(2)
      assert.deepStrictEqual(await trained(2), first)
      ;(await trained(1)).forEach((value, i) => assert.closeTo(value, first[i]!, 2e-6))
      assert.isAbove(largest(first.map((value, i) => value - model.parameters[i]!)), 0.02)
    })
    it("are as many as threads, up to 8, and fewer where their gradients would fill a GiB", () => {
      assert.deepStrictEqual([1, 2, 8, 64].map((threads) => laneCount(threads, 260_032)), [1, 2, 8, 8])
      assert.deepStrictEqual([2 ** 26, 2 ** 28, 2 ** 29].map((trained) => laneCount(8, trained)), [5, 2, 1])
    })
  })

  it.skipIf(process.platform !== "linux")("has OpenMP's threads sleep soon, unless the user says how they wait", () => {
    const file = new URL("../../src/compute/torch/backend.ts", import.meta.url).href
    /** What libgomp says of itself when it is loaded. */
    const spins = (environment: Readonly<Record<string, string>>) => {
      const { stderr } = spawnSync(
        process.execPath,
        ["--input-type=module", "-e", `await (await import(${JSON.stringify(file)})).start({ threads: 2 })`],
        {
          encoding: "utf8",
          env: { ...process.env, GOMP_SPINCOUNT: undefined, OMP_DISPLAY_ENV: "verbose", ...environment }
        }
      )
      return /GOMP_SPINCOUNT = '(\d+)'/.exec(stderr)?.[1]
    }
    assert.deepStrictEqual([{}, { GOMP_SPINCOUNT: "7" }, { OMP_WAIT_POLICY: "passive" }].map(spins), ["1000", "7", "0"])
  })

  describe("ownership", () => {
    it("keeps no tensor once a session is closed, whatever it did", async () => {
      const before = liveTensors()
      const session = await backend.open(float32(tinyLlama(3)), {})
      const batch = batchOf(groupsOf(3, 9))
      await session.forward(batch)
      await session.backward(Float64Array.from(batch.targets, () => 1))
      await session.forward(batch)
      await session.score(batch)
      await session.forward(batch)
      const wrong = { ...batch, targets: batch.targets.map(() => 10_000) }
      const refused = await session.score(wrong).then(() => "scored", String)
      assert.match(refused, /token 10000 is outside the vocabulary of 23/)
      await session.close()
      assert.strictEqual(liveTensors(), before)
    })
  })
})
