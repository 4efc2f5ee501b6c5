// The torch engine with the kernels on the CPU: the head, whole models and AdamW over masters, against the oracle and against
// the compositions.
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import type { Node } from "../../../src/compute/Graph.ts"
import { kernels as oracles } from "../../../src/compute/operations/kernels.ts"
import { adamW } from "../../../src/compute/optimiser.ts"
import { start as startOracle } from "../../../src/compute/reference/backend.ts"
import { floats as exact, ints as exactInts } from "../../../src/compute/reference/Tensor.ts"
import { opened } from "../../../src/compute/torch/backend.ts"
import { discover, type Installation } from "../../../src/compute/torch/discovery.ts"
import { kernels } from "../../../src/compute/torch/kernels/kernels.ts"
import type { Launcher } from "../../../src/compute/torch/kernels/Launcher.ts"
import { launchSoftmaxGradient } from "../../../src/compute/torch/kernels/softmax.ts"
import { type Context, cotangent, floats, ints } from "../../../src/compute/torch/Lowering.ts"
import { lowerIn, narrowed } from "../../../src/compute/torch/precision.ts"
import type { Torch } from "../../../src/compute/torch/Torch.ts"
import { random, randomModel, tinyFamilies, tinyLlama } from "../fixtures.ts"
import { batchOf, float32, groupsOf, largest } from "../float32Engine.ts"
import { compileHost, noCompiler, torches } from "./host.ts"

const found = discover()
const missing = "problem" in found ? found.problem : noCompiler

describe.skipIf(missing !== undefined)("the engine with kernels", () => {
  const { folder, library } = missing === undefined ? compileHost() : { folder: "", library: "" }
  const both = (missing === undefined ? torches(found as Installation, library) : undefined)!
  afterAll(() => {
    if (missing !== undefined) return
    both.launcher.close()
    assert.deepStrictEqual([both.loaded(), both.native.live()], [0, 0])
    fs.rmSync(folder, { recursive: true, force: true })
  })

  describe("the head", () => {
    const next = random(4)
    const numbers = (count: number, scale: number) =>
      Float64Array.from({ length: count }, () => scale * (2 * next() - 1))

    /** Log-probabilities and gradients of hidden [rows, 6] and head [vocabulary, 6]. */
    const runHead = (
      torch: Torch,
      precision: "float32" | "bfloat16",
      given: Readonly<
        Record<"hidden" | "head" | "cotangent", { readonly shape: ReadonlyArray<number>; readonly data: Float64Array }>
      >,
      [predictor, targets]: readonly [Int32Array, Int32Array],
      softCap: number | undefined,
      spare: boolean
    ) =>
      torch.scope(() => {
        const narrow = precision === "bfloat16" ? narrowed(torch) : torch
        const context = { sizes: {}, index: torch.uploadIndex, spare: () => spare } as unknown as Context
        const lower = (operation: string, inputs: Parameters<ReturnType<typeof lowerIn>>[1]) =>
          lowerIn(torch, narrow)({ operation, attributes: { softCap } } as Node, inputs, context)
        const tensor = ({ data, shape }: typeof given["hidden"]) =>
          floats(torch.cast(torch.upload(Float32Array.from(data), shape), narrow.floats), shape)
        const inputs = {
          hidden: tensor(given.hidden),
          head: tensor(given.head),
          predictor: ints(predictor),
          targets: ints(targets)
        }
        const { logProb, saved } = lower("tokenLogProb", inputs)
        const pull = cotangent(torch.upload(given.cotangent.data, given.cotangent.shape), given.cotangent.data)
        const d = lower("tokenLogProbBackward", { ...inputs, cotangent: pull, saved: saved! })
        return {
          logProb: torch.download(logProb!.handles[0]!, targets.length),
          hidden: torch.download(d["hidden"]!.handles[0]!, given.hidden.data.length),
          head: torch.download(d["head"]!.handles[0]!, given.head.data.length)
        }
      })

    const predictors = [[0], [0, 1, 0, 2, 2, 2], [3, 0, 1, 1, 2, 4, 4, 3]]
    for (const vocabulary of [3, 37, 516, 1031]) {
      it(`log-probabilities and gradients of ${vocabulary} tokens`, () => {
        for (const rowsOf of predictors) {
          for (const softCap of [undefined, 1.5]) {
            const predictor = Int32Array.from(rowsOf)
            const rows = Math.max(...rowsOf) + 1
            // the last two are the same row and token, whose cotangents add up
            const targets = Int32Array.from(
              predictor,
              (_, n) => n === 5 ? 1 : n === 4 ? 1 : Math.floor(vocabulary * next())
            )
            const given = {
              hidden: { shape: [rows, 6], data: numbers(rows * 6, 2) },
              head: { shape: [vocabulary, 6], data: numbers(vocabulary * 6, 2) },
              cotangent: { shape: [predictor.length], data: numbers(predictor.length, 1) }
            }
            const single = (of: typeof given.hidden) => {
              const tensor = exact(of.shape)
              tensor.data.set(Float32Array.from(of.data))
              return tensor
            }
            const inputs = {
              hidden: single(given.hidden),
              head: single(given.head),
              predictor: exactInts(predictor),
              targets: exactInts(targets)
            }
            const forward = oracles.tokenLogProb(inputs, { softCap }, {} as never)
            const backward = oracles.tokenLogProbBackward(
              { ...inputs, cotangent: single(given.cotangent), saved: forward.saved },
              { softCap },
              {} as never
            )
            const expected = { logProb: forward.logProb, ...backward }
            for (const precision of ["float32", "bfloat16"] as const) {
              const before = both.launches()
              const [made, over] = [false, true].map((spare) =>
                runHead(both.kernels, precision, given, [predictor, targets], softCap, spare)
              )
              assert.strictEqual(both.launches() - before, 4)
              assert.deepStrictEqual(over, made)
              const composed = runHead(both.composed, precision, given, [predictor, targets], softCap, false)
              for (const name of ["logProb", "hidden", "head"] as const) {
                const scale = largest(expected[name].data)
                const beside = largest(made![name].map((value, i) => value - composed[name][i]!))
                // in bfloat16 both round the same numbers, seldom to different neighbours
                assert.isAtMost(
                  beside,
                  scale * (precision === "float32" ? 2e-6 : 2 ** -7),
                  `${name} beside the composition`
                )
                if (precision === "bfloat16") continue
                const error = largest(made![name].map((value, i) => value - expected[name].data[i]!))
                assert.isAtMost(error, 5e-6 * Math.max(1, scale), `${name}, ${vocabulary} tokens, cap ${softCap}`)
              }
            }
          }
        }
      })
    }

    it("leaves rows with more picks than a block has threads to the composition", () => {
      both.kernels.scope(() => {
        const logits = both.kernels.zeros([1, 600])
        const entries = new Map(Array.from({ length: 513 }, (_, token) => [token, 1] as const))
        const picks = { weights: Float64Array.of(1), entries }
        const given = { logits, sums: both.kernels.zeros([1, 1]), picks, width: 600, softCap: undefined, spare: false }
        assert.isUndefined(launchSoftmaxGradient(both.kernels, given))
      })
    })
  })

  it("takes a residual and its norm, and a norm's gradient and its sum, as one", async () => {
    const joined: Record<string, number> = {}
    const launcher: Launcher = {
      ...both.launcher,
      launch: (name, variant, grid, args) => {
        const whole = Object.keys(kernels[name].parameters).every((parameter, i) =>
          !["addend", "residual"].includes(parameter) || args[i] !== undefined
        )
        const key = `${name} ${whole}`
        joined[key] = (joined[key] ?? 0) + 1
        both.launcher.launch(name, variant, grid, args)
      }
    }
    const session = await opened({ ...both.kernels, launcher })(float32(randomModel(0, tinyFamilies["gemma2"]!)), {})
    const batch = batchOf(groupsOf(3, 6))
    await session.forward(batch)
    await session.backward(Float64Array.from(batch.targets, () => 1))
    await session.close()
    // 9 norms: 4 in each of 2 layers, and the last. A layer adds to the stream twice, and twice reads it through a norm.
    assert.deepStrictEqual(joined, {
      "rmsNorm false": 9 - 4,
      "rmsNorm true": 4,
      "logSums true": 1,
      "rope true": 8,
      "softmaxGradient true": 1,
      "rmsNormBackward false": 9 - 4,
      "rmsNormBackward true": 4
    })
  })

  const models = [
    ["llama", tinyLlama(3)] as const,
    ...["gemma3", "gptNeox", "phi3", "qwen3"].map((name, seed) =>
      [name, randomModel(seed, tinyFamilies[name]!)] as const
    )
  ]
  for (const [seed, [name, model]] of models.entries()) {
    it(`computes what the oracle computes, ${name}`, async () => {
      const batch = batchOf(groupsOf(seed, 12))
      const coefficients = Float64Array.from(batch.targets, (_, n) => Math.cos(n))
      const session = await opened(both.kernels)(float32(model), {})
      const oracle = await startOracle({})
      const reference = await oracle.open({ ...model, parameters: Float64Array.from(float32(model).parameters) }, {})
      const [got, expected] = [await session.forward(batch), await reference.forward(batch)]
      got.forEach((value, n) => assert.closeTo(value, expected[n]!, 5e-6))
      await session.backward(coefficients)
      await reference.backward(coefficients)
      const [g, e] = [await session.gradients(), await reference.gradients()]
      const scale = largest(e)
      g.forEach((value, i) => assert.closeTo(value, e[i]!, 1e-5 * scale))
      await session.close()
    })
  }

  it("trains in bfloat16 as the composition does, clipped by a norm that stays on the device", async () => {
    const model = float32(tinyLlama(4, { hidden_size: 48, head_dim: 16, intermediate_size: 64 }))
    const batch = batchOf(groupsOf(6, 12))
    const coefficients = Float64Array.from(batch.targets, (_, n) => Math.cos(n) / batch.targets.length)
    const settings = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, maxGradNorm: 0.5 }
    const before = both.launches()
    const session = await opened(both.kernels)(model, { precision: "bfloat16" })
    const parameters = Float32Array.from(model.parameters)
    const moments = { m: new Float32Array(parameters.length), v: new Float32Array(parameters.length) }
    for (let updates = 1; updates <= 3; updates++) {
      await session.forward(batch)
      await session.backward(coefficients)
      const gradients = Float64Array.from(await session.gradients())
      const norm = Math.sqrt(gradients.reduce((sum, g) => sum + g ** 2, 0))
      const done = await session.update(settings)
      assert.isTrue(done.clipped)
      assert.closeTo(done.gradNorm / norm, 1, 1e-5)
      let from = 0
      for (const shape of model.shapes) {
        const to = from + shape.reduce((a, b) => a * b, 1)
        const weightDecay = shape.length > 1 ? settings.weightDecay : 0
        const factor = 0.5 / (norm + 1e-6)
        adamW(parameters, gradients, moments, { ...settings, weightDecay }, { factor, from, to, updates })
        from = to
      }
    }
    const { parameters: got } = await session.weights()
    const { m, v } = await session.optimiser()
    // relative to the number; terms of a first moment cancel
    const worst = (of: ArrayLike<number>, expected: Float32Array, least: number) =>
      largest(expected.map((value, i) => (of[i]! - value) / Math.max(Math.abs(value), least)))
    assert.isBelow(worst(got, parameters, 0.1), 4e-6)
    assert.isBelow(worst(m, moments.m, 0.05 * largest(moments.m)), 4e-6)
    assert.isBelow(worst(v, moments.v, 1e-6 * largest(moments.v)), 4e-6)
    await session.close()
    // 2 layers: norms, rotary turns and SwiGLU forward and backward, the head, and 3 updates
    assert.isAbove(both.launches() - before, 3 * 2 * (2 + 2 + 2 + 2 + 1 + 1))
  })

  it("computes in bfloat16 as near to the oracle as the composition, in the direction of every gradient", async () => {
    const model = float32(tinyLlama(4, { hidden_size: 48, head_dim: 16, intermediate_size: 64 }))
    const batch = batchOf(groupsOf(6, 12))
    const coefficients = Float64Array.from(batch.targets, (_, n) => Math.cos(n) / batch.targets.length)
    const oracle = await (await startOracle({})).open({ ...model, parameters: Float64Array.from(model.parameters) }, {})
    const expected = await oracle.forward(batch)
    await oracle.backward(coefficients)
    const e = await oracle.gradients()
    const [kernels, composed] = await Promise.all([both.kernels, both.composed].map(async (torch) => {
      const session = await opened(torch)(model, { precision: "bfloat16" })
      const logProbs = await session.forward(batch)
      await session.backward(coefficients)
      const g = await session.gradients()
      await session.close()
      return { g, error: logProbs.reduce((sum, value, n) => sum + Math.abs(value - expected[n]!), 0) / expected.length }
    }))
    assert.isAbove(kernels!.error, 1e-4)
    assert.isBelow(kernels!.error, 1.25 * composed!.error)
    let at = 0
    model.names.forEach((name, i) => {
      const size = model.shapes[i]!.reduce((a, b) => a * b, 1)
      let [both, ofG, ofE] = [0, 0, 0]
      for (let j = at; j < at + size; j++) {
        both += kernels!.g[j]! * e[j]!
        ofG += kernels!.g[j]! ** 2
        ofE += e[j]! ** 2
      }
      at += size
      assert.isAbove(both / Math.sqrt(ofG * ofE), 0.995, name)
      assert.closeTo(Math.sqrt(ofG / ofE), 1, 0.05, name)
    })
  })

  it("leaves tensors that are not contiguous to the composition", () => {
    const { kernels: torch } = both
    torch.scope(() => {
      const wide = torch.upload(Float32Array.from({ length: 24 }, (_, i) => i), [3, 8])
      const x = floats(torch.strided(wide, [3, 4], [8, 1], 0), [3, 4])
      const before = both.launches()
      const node = { operation: "swiglu", attributes: {} } as Node
      const context = { spare: () => false } as unknown as Context
      const { y } = lowerIn(torch, torch)(node, { gate: x, up: x }, context)
      assert.strictEqual(both.launches(), before)
      const silu = (g: number) => g / (1 + Math.exp(-g))
      const expected = [0, 1, 2].flatMap((r) => [0, 1, 2, 3].map((j) => silu(8 * r + j) * (8 * r + j)))
      torch.download(y!.handles[0]!, 12).forEach((value, i) => assert.closeTo(value, expected[i]!, 1e-4))
    })
  })
})
