// The onnx engine: what every float32 engine must do, and what only this one promises.
import { assert, describe, it } from "@effect/vitest"
import type { Update } from "../../src/compute/Engine.ts"
import { start } from "../../src/compute/onnx/backend.ts"
import { modelOf, readJson, references, stories, tinyLlama } from "./fixtures.ts"
import { batchOf, float32, float32Engine, largest, pairs } from "./float32Engine.ts"

const backend = await start({ threads: 1 })
float32Engine(backend)

describe("a real model", () => {
  it("gives the same bits in every run, session and engine, on one thread and on two", async () => {
    const stored = pairs(readJson(new URL("training.json", references)).training_pairs)
    const [two, one] = [batchOf(stored.slice(0, 2)), batchOf(stored.slice(2, 3))]
    const update: Update = {
      learningRate: 1e-3,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay: 0.01,
      maxGradNorm: 1
    }
    const results: Array<
      { readonly logProbs: Float64Array; readonly gradients: Float32Array; readonly weights: Float32Array }
    > = []
    for (const threads of [1, 2, 2]) {
      const engine = await start({ threads })
      const session = await engine.open(modelOf(stories), {})
      for (const batch of [two, one, two]) {
        await session.forward(batch)
        await session.backward(Float64Array.from(batch.targets, (_, n) => Math.sin(n)))
      }
      const gradients = await session.gradients() as Float32Array
      await session.update(update)
      const logProbs = await session.score(one)
      results.push({ logProbs, gradients, weights: (await session.weights()).parameters as Float32Array })
      await session.close()
      await engine.close()
    }
    assert.isAbove(largest(results[0]!.gradients), 1)
    assert.deepStrictEqual(results[1], results[0])
    assert.deepStrictEqual(results[2], results[0])
  })
})

describe("a session", () => {
  it("hands out copies, and refuses backward without forward", async () => {
    const session = await backend.open(float32(tinyLlama(1)), {})
    try {
      await session.backward(new Float64Array(1))
      assert.fail("backward ran")
    } catch (error) {
      assert.match(String(error), /without a forward/)
    }
    const before = (await session.weights()).parameters
    before.fill(0)
    assert.isAbove(largest((await session.weights()).parameters), 0.1)
    assert.strictEqual(session.fused, undefined)
  })
})
