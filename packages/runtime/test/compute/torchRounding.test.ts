// Stochastic rounding: its generator, its mean, what it keeps, and that a run that was interrupted ends with the same bits; by
// composition and by kernel.
import { afterAll, assert, describe, it } from "@effect/vitest"
import { recipe } from "@penchant/dsl/Recipe"
import { simpo } from "@penchant/objectives"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import { layer } from "../../src/compute/Engines.ts"
import { footprintOf, planned } from "../../src/compute/footprint.ts"
import { loadOf } from "../../src/compute/load.ts"
import { opened } from "../../src/compute/torch/backend.ts"
import { discover, type Installation } from "../../src/compute/torch/discovery.ts"
import { launchSplitAdamW, launchStochasticAdamW } from "../../src/compute/torch/kernels/adamW.ts"
import { joined } from "../../src/compute/torch/master.ts"
import type { Handle } from "../../src/compute/torch/native.ts"
import { draws, philox, stochasticMaster } from "../../src/compute/torch/rounding.ts"
import type { Torch } from "../../src/compute/torch/Torch.ts"
import { Progress } from "../../src/platform/Progress.ts"
import { train } from "../../src/training/train.ts"
import { scratch } from "../training/scratch.ts"
import { forwardOf, random, tinyLlama, tokenGroups } from "./fixtures.ts"
import { batchOf, float32, groupsOf } from "./float32Engine.ts"
import { compileHost, composedTorch, noCompiler, torches } from "./kernels/host.ts"

describe("the generator", () => {
  it("is Philox 4x32-10", () => {
    // kat_vectors of Random123
    const of = (counter: ReadonlyArray<number>, key: readonly [number, number]) => {
      const words = Uint32Array.from(counter)
      philox(words, key)
      return [...words].map((word) => word.toString(16).padStart(8, "0")).join(" ")
    }
    const ones = 0xffffffff
    assert.strictEqual(of([0, 0, 0, 0], [0, 0]), "6627e8d5 e169c58d bc57ac4c 9b00dbd8")
    assert.strictEqual(of([ones, ones, ones, ones], [ones, ones]), "408f276d 41c83b0e a20bc7c6 6d5451fd")
    assert.strictEqual(
      of([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
      "d16cfe09 94fdcceb 5001e420 24126ea1"
    )
  })

  it("gives an element the same bits in whatever pieces, and others in another update or stream", () => {
    const whole = draws(5, 3, 0, 1000)
    for (const [from, size] of [[0, 1], [7, 2], [8, 8], [13, 900], [999, 1], [5, 0]] as const) {
      assert.deepStrictEqual(draws(5, 3, from, size), whole.slice(from, from + size))
    }
    const same = (other: Int32Array) => other.filter((draw, i) => draw === whole[i]).length
    assert.isBelow(same(draws(5, 4, 0, 1000)), 3)
    assert.isBelow(same(draws(6, 3, 0, 1000)), 3)
    // uniform over [0, 2^16): the mean of 10^5 is within 5 sigma
    const many = draws(9, 1, 0, 100_000)
    const mean = many.reduce((a, b) => a + b) / many.length
    assert.closeTo(mean, 32767.5, 5 * 65536 / Math.sqrt(12 * many.length))
  })
})

const found = discover()
const missing = "problem" in found ? found.problem : undefined
if (missing !== undefined) console.log(`SKIPPED: stochastic rounding: ${missing}`)
else if (noCompiler !== undefined) console.log(`SKIPPED: stochastic rounding by kernel: ${noCompiler}`)

describe.skipIf(missing !== undefined)("stochastic rounding", () => {
  const host = missing === undefined && noCompiler === undefined ? compileHost() : undefined
  const both = host === undefined ? undefined : torches(found as Installation, host.library)
  afterAll(() => {
    both?.launcher.close()
    assert.strictEqual(both?.native.live() ?? 0, 0)
    if (host !== undefined) fs.rmSync(host.folder, { recursive: true, force: true })
  })
  const composed = both?.composed ?? (missing === undefined ? composedTorch(found as Installation) : undefined)
  const ways = [["composed", composed], ["by kernel", both?.kernels]] as const
  const settings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, maxGradNorm: 1 }

  /** Updates of weights in one place by the same gradients, with what was held for them. */
  const updated = (
    torch: Torch,
    { gradients, learningRate, updates, weights }: {
      readonly weights: Float32Array
      readonly gradients: Float32Array
      readonly learningRate: number
      readonly updates: number
    },
    [from, to]: readonly [number, number] = [0, weights.length]
  ) => {
    const held: Array<Handle> = []
    const hold = (make: () => Handle): Handle => {
      const made = torch.scope((keep) => keep(make()))
      held.push(made)
      return made
    }
    const master = stochasticMaster(77)(torch, hold, weights)
    const [m, v] = [hold(() => torch.zeros([weights.length])), hold(() => torch.zeros([weights.length]))]
    torch.scope(() => torch.native.copy(master.gradients, torch.upload(gradients, [gradients.length])))
    for (let update = 1; update <= updates; update++) {
      torch.scope(() => {
        const step = torch.upload(Float32Array.of(update), [1])
        const adam = { ...settings, weightDecay: 0, learningRate, m, v, updates: update, step, gradScale: undefined }
        master.update([{ name: "", shape: [], from, size: to - from }], adam)
      })
    }
    const read = master.read()
    const { bfloat16, float32, float64 } = torch.native.dtypes
    const width = new Map([[bfloat16, 2], [float32, 4], [float64, 8]])
    const bytes = held.map((tensor) => {
      const wide = width.get(torch.native.dtypeOf(tensor))!
      // a view of as many elements as the parameters fails on any other tensor
      const large = ((): boolean => {
        try {
          torch.scope(() => torch.call("view", tensor, [weights.length]))
          return true
        } catch {
          return false
        }
      })()
      return large ? wide : 0
    })
    torch.free(held)
    return { read, bytesPerParameter: bytes.reduce((a, b) => a + b) }
  }

  for (const [name, torch] of ways) {
    if (torch === undefined) continue
    it(`has the mean of its updates, far below a step of bfloat16, ${name}`, () => {
      const count = 40_000
      const weights = new Float32Array(count).fill(1)
      const gradients = new Float32Array(count).fill(1)
      // Adam's updates by equal gradients are the rate each; a step of bfloat16 below 1 is 2 ** -8
      const [learningRate, updates] = [2 ** -8 / 50, 4]
      const { bytesPerParameter, read } = updated(torch, { weights, gradients, learningRate, updates })
      assert.strictEqual(bytesPerParameter, 12)
      const moved = read.map((value) => 2 ** 8 * (1 - value))
      assert.isTrue(moved.every((steps) => Number.isInteger(steps) && steps >= 0 && steps <= updates))
      // within 5 sigma
      const expected = updates / 50
      assert.closeTo(moved.reduce((a, b) => a + b) / count, expected, 5 * Math.sqrt(expected / count))
    })

    it(`is exact where the result is a bfloat16, keeps NaN, and touches its own place alone, ${name}`, () => {
      const weights = Float32Array.of(1, -2, 0, 3, Number.NaN, 5, 6, 7, 8, 9, 10)
      const gradients = new Float32Array(11)
      const { read } = updated(torch, { weights, gradients, learningRate: 0.1, updates: 3 }, [2, 11])
      assert.deepStrictEqual(read, weights)
      const moved = updated(torch, { weights, gradients: gradients.fill(1), learningRate: 1, updates: 1 }, [3, 9]).read
      assert.deepStrictEqual([...moved.slice(0, 3), ...moved.slice(9)], [1, -2, 0, 9, 10])
      assert.isTrue(moved.slice(3, 9).every((value, i) => value !== weights[3 + i]))
    })

    it(`ends with the same bits when it was interrupted, ${name}`, async () => {
      const model = float32(tinyLlama(5))
      const batch = batchOf(groupsOf(6, 12))
      const coefficients = Float64Array.from(batch.targets, (_, n) => Math.cos(n) / batch.targets.length)
      const open = opened(torch)
      const narrow = { precision: "bfloat16", roundingSeed: 3 } as const
      const steps = async (session: Awaited<ReturnType<typeof open>>, from: number, to: number) => {
        for (let step = from; step < to; step++) {
          await session.forward(batch)
          await session.backward(coefficients)
          await session.update({ ...settings, learningRate: 1e-3 * (step + 1) })
        }
        const state = { model: await session.weights(), optimiser: await session.optimiser() }
        await session.close()
        return state
      }
      const whole = await steps(await open(model, narrow), 0, 4)
      const half = await steps(await open(model, narrow), 0, 2)
      const resumed = await steps(await open(half.model, { ...narrow, optimiser: half.optimiser }), 2, 4)
      assert.deepStrictEqual(resumed, whole)
      const other = await steps(await open(model, { ...narrow, roundingSeed: 4 }), 0, 4)
      assert.notDeepEqual(other.model.parameters, whole.model.parameters)
      const bits = new Int32Array(whole.model.parameters.buffer as ArrayBuffer)
      assert.isTrue(bits.every((each) => (each & 0xffff) === 0))
    })
  }

  it("keeps a NaN that has every bit, which is what a GPU makes of one", { skip: both === undefined }, () => {
    const { kernels: torch } = both!
    torch.scope(() => {
      const { bfloat16 } = torch.native.dtypes
      const narrow = (value: number) => torch.cast(torch.upload(new Float32Array(8).fill(value), [8]), bfloat16)
      const m = torch.upload(new Float32Array(new Int32Array(8).fill(0x7fffffff).buffer), [8])
      const adam = { ...settings, learningRate: 1, updates: 1, gradScale: undefined }
      const tensors = () => ({
        weights: narrow(1),
        gradients: narrow(1),
        m: torch.call("clone", m),
        v: torch.zeros([8])
      })
      const [alone, split] = [tensors(), { ...tensors(), lower: torch.upload(new Int16Array(8), [8]) }]
      assert.isTrue(launchStochasticAdamW(torch, alone, { first: 0, size: 8 }, 1, adam))
      assert.isTrue(launchSplitAdamW(torch, split, 8, adam))
      for (const { weights } of [alone, split]) assert.isTrue(torch.download(weights, 8).every(Number.isNaN))
      assert.isTrue(
        joined(torch.downloadBits(split.weights, 8), torch.downloadBits(split.lower, 8)).every(Number.isNaN)
      )
    })
  })

  it("rounds as the composition does where both computed the same number", { skip: both === undefined }, () => {
    const next = random(8)
    const weights = Float32Array.from({ length: 5003 }, () => 2 * next() - 1)
    const gradients = Float32Array.from({ length: 5003 }, () => 2 * next() - 1)
    for (const [from, to] of [[0, 5003], [5, 4999], [16, 24]] as const) {
      const [a, b] = ways.map(([, torch]) =>
        updated(torch!, { weights, gradients, learningRate: 1e-3, updates: 2 }, [from, to]).read
      )
      // a draw decides otherwise only where the numbers' last bits differ and lie on either side of it
      const different = a!.filter((value, i) => value !== b![i]).length
      assert.isAtMost(different, 5)
    }
  })

  it("takes 12 bytes a parameter, 14 with masters, in the plan too", () => {
    const model = tinyLlama(2)
    const data = tokenGroups([{ prompt: [1, 2], branches: [[3], [4]] }])
    const states = (rounding: { readonly rounding?: "stochastic" }) => {
      const spending = { engine: "torch", precision: "bfloat16", ...rounding } as const
      const of = footprintOf(planned(forwardOf(model)), spending, loadOf(data, [0], data.sides), false)!
      return (of.weights + of.gradients + of.optimiser) / model.parameters.length
    }
    assert.deepStrictEqual([states({ rounding: "stochastic" }), states({})], [12, 14])
  })

  it.live("belongs to a recipe: trained, interrupted and resumed", () =>
    Effect.gen(function*() {
      const model = float32(tinyLlama(9))
      const next = random(2)
      const tokens = (count: number) => Array.from({ length: count }, () => Math.floor(23 * next()))
      const groups = Array.from({ length: 8 }, () => ({ prompt: tokens(3), branches: [tokens(4), tokens(3)] }))
      const data = { ...tokenGroups(groups), sides: ["chosen", "rejected"] }
      const run = (directory: string, rounding: "nearest" | "stochastic", seen = Effect.succeed(true)) =>
        train({
          label: "test",
          model,
          data,
          reference: undefined,
          referenceIsStart: false,
          objective: simpo(),
          recipe: recipe({
            batchSize: 2,
            epochs: 2,
            learningRate: 1e-3,
            warmupRatio: 0,
            precision: "bfloat16",
            rounding
          }),
          policy: { checkpointEvery: 3 },
          scratch: directory,
          identity: { rounding }
        }).pipe(
          Effect.provideService(
            Progress,
            Progress.of({
              emit: (event) => event._tag === "StepProgress" ? Effect.asVoid(seen) : Effect.void
            })
          ),
          Effect.map((finished) => finished.model.parameters)
        )
      const whole = yield* Effect.flatMap(scratch, (directory) => run(directory, "stochastic"))
      const directory = yield* scratch
      const begun = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(run(directory, "stochastic", Deferred.succeed(begun, undefined)))
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(fiber)
      const [checkpoint] = fs.readdirSync(`${directory}/checkpoints`)
      assert.match(checkpoint!, /^step-00000000[1-7]$/)
      assert.deepStrictEqual(yield* run(directory, "stochastic"), whole)
      const nearest = yield* Effect.flatMap(scratch, (directory) => run(directory, "nearest"))
      assert.notDeepEqual(nearest, whole)
    }).pipe(Effect.scoped, Effect.provide(Layer.fresh(layer("torch", { threads: 1 })))))
})
