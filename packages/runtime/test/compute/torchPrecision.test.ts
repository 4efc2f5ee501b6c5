// bfloat16 on the torch engine's CPU: what is rounded, what must not be lost, and what is freed.
import { assert, describe, it } from "@effect/vitest"
import { adamW } from "../../src/compute/optimiser.ts"
import { start as startOracle } from "../../src/compute/reference/backend.ts"
import { liveTensors, start } from "../../src/compute/torch/backend.ts"
import { discover } from "../../src/compute/torch/discovery.ts"
import { joined, split } from "../../src/compute/torch/master.ts"
import { random, tinyLlama } from "./fixtures.ts"
import { batchOf, float32, groupsOf } from "./float32Engine.ts"

describe("masters cut in two", () => {
  const upperOf = (value: number) => split(Float32Array.of(value)).upper[0]! & 0xffff
  it("round to the nearest bfloat16, down and up", () => {
    // 1 = 0x3f80_0000; a bfloat16 step above it is 2^-7
    assert.strictEqual(upperOf(1), 0x3f80)
    assert.strictEqual(upperOf(1 + 2 ** -9), 0x3f80)
    assert.strictEqual(upperOf(1 + 2 ** -8 + 2 ** -12), 0x3f81)
    assert.strictEqual(upperOf(1 - 2 ** -24), 0x3f80)
    assert.strictEqual(upperOf(-1 - 2 ** -9), 0xbf80)
  })
  it("lose no bit", () => {
    const next = random(5)
    const values = Float32Array.from({ length: 10_000 }, () => (next() - 0.5) * 2 ** Math.floor(60 * next() - 40))
    const { lower, upper } = split(values)
    assert.deepStrictEqual(joined(upper, lower), values)
  })
})

const found = discover()

describe.skipIf("problem" in found)("bfloat16", async () => {
  const backend = "problem" in found ? await startOracle({}) : await start({ threads: 1 })
  const model = float32(tinyLlama(4, { hidden_size: 48, head_dim: 16, intermediate_size: 64 }))
  const batch = batchOf(groupsOf(6, 12))
  const coefficients = Float64Array.from(batch.targets, (_, n) => Math.cos(n) / batch.targets.length)

  it("stays near the oracle, in log-probabilities and in the direction of every gradient", async () => {
    const exact = await (await startOracle({})).open(
      { ...model, parameters: Float64Array.from(model.parameters) },
      {}
    )
    const session = await backend.open(model, { precision: "bfloat16" })
    // of many tokens: what one batch loses depends on the products' order, which differs from processor to processor
    const all: Array<number> = []
    let errors: ReadonlyArray<number> = []
    for (const each of [...Array.from({ length: 20 }, (_, seed) => batchOf(groupsOf(seed, 12))), batch]) {
      const [got, expected] = [await session.forward(each), await exact.forward(each)]
      errors = Array.from(got, (value, n) => Math.abs(value - expected[n]!))
      all.push(...errors)
    }
    // these logits reach 10, where bfloat16 has steps of 2^-4
    assert.isBelow(all.reduce((a, b) => a + b) / all.length, 0.04)
    assert.isBelow(Math.max(...errors), 0.2)
    // it is not float32 that answers
    assert.isAbove(Math.max(...errors), 1e-4)
    await session.backward(coefficients)
    await exact.backward(coefficients)
    const [g, e] = [await session.gradients(), await exact.gradients()]
    let at = 0
    model.names.forEach((name, i) => {
      const size = model.shapes[i]!.reduce((a, b) => a * b, 1)
      let [both, ofG, ofE] = [0, 0, 0]
      for (let j = at; j < at + size; j++) {
        both += g[j]! * e[j]!
        ofG += g[j]! ** 2
        ofE += e[j]! ** 2
      }
      at += size
      assert.isAbove(both / Math.sqrt(ofG * ofE), 0.995, name)
      assert.closeTo(Math.sqrt(ofG / ofE), 1, 0.05, name)
    })
    await session.close()
  })

  it("updates masters by AdamW, far below a step of bfloat16, and clips by the norm of all", async () => {
    const before = liveTensors()
    const session = await backend.open(model, { precision: "bfloat16" })
    const expected = Float32Array.from(model.parameters)
    const moments = { m: new Float32Array(expected.length), v: new Float32Array(expected.length) }
    const settings = { learningRate: 1e-6, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 }
    for (let updates = 1; updates <= 3; updates++) {
      await session.forward(batch)
      await session.backward(coefficients)
      const gradients = Float64Array.from(await session.gradients())
      const norm = Math.sqrt(gradients.reduce((sum, g) => sum + g ** 2, 0))
      const maxGradNorm = updates === 2 ? norm / 4 : 0
      const done = await session.update({ ...settings, maxGradNorm })
      assert.closeTo(done.gradNorm / norm, 1, 1e-5)
      assert.strictEqual(done.clipped, updates === 2)
      let from = 0
      for (const shape of model.shapes) {
        const to = from + shape.reduce((a, b) => a * b, 1)
        const weightDecay = shape.length > 1 ? settings.weightDecay : 0
        const factor = updates === 2 ? 0.25 : 1
        adamW(expected, gradients, moments, { ...settings, weightDecay, maxGradNorm: 0 }, { factor, from, to, updates })
        from = to
      }
    }
    const { parameters } = await session.weights()
    const moved = parameters.filter((value, i) => value !== model.parameters[i]).length
    assert.isAbove(moved / parameters.length, 0.9)
    parameters.forEach((value, i) => assert.closeTo(value, expected[i]!, 2e-7))
    await session.close()
    assert.strictEqual(liveTensors(), before)
  })
})
