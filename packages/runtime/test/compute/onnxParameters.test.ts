// The optimiser's WebAssembly kernels against plain float32 loops, bit for bit, and the parameters' memory.
import { assert, describe, it } from "@effect/vitest"
import type { ModelState, Update } from "../../src/compute/Engine.ts"
import { parametersOf } from "../../src/compute/onnx/Parameters.ts"
import { type AdamScalars, adamScalars, memoryOf, vectorKernels } from "../../src/compute/onnx/vectorKernels.ts"
import { adamW } from "../../src/compute/optimiser.ts"
import { random } from "./fixtures.ts"

const f = Math.fround
const bits = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length)

const adamLoop = (
  p: Float32Array,
  g: Float32Array,
  m: Float32Array,
  v: Float32Array,
  { beta1, beta2, correction, epsilon, factor, rest1, rest2, shrink, step }: AdamScalars
): void => {
  for (let i = 0; i < p.length; i++) {
    const gradient = f(g[i]! * f(factor))
    const first = f(f(f(beta1) * m[i]!) + f(f(rest1) * gradient))
    const second = f(f(f(beta2) * v[i]!) + f(f(f(rest2) * gradient) * gradient))
    m[i] = first
    v[i] = second
    const moved = f(f(f(step) * first) / f(f(f(Math.sqrt(second)) * f(correction)) + f(epsilon)))
    p[i] = f(f(p[i]! * f(shrink)) - moved)
    g[i] = 0
  }
}

const model = (shapes: ReadonlyArray<ReadonlyArray<number>>, seed: number): ModelState => {
  const next = random(seed)
  const count = shapes.reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0)
  return {
    config: {},
    names: shapes.map((_, i) => `t${i}`),
    shapes,
    parameters: Float32Array.from({ length: count }, () => next() - 0.5)
  }
}

describe("vector kernels", () => {
  const count = 1028
  const bytes = 4 * count
  const memory = memoryOf(1)
  const kernels = vectorKernels(memory)
  const at = (vector: number) => new Float32Array(memory.buffer, vector * bytes, count)

  it("sumSquares adds four float64 sums in a fixed order", () => {
    const next = random(1)
    const values = at(0).map(() => f(1000 * (next() - 0.5)))
    at(0).set(values)
    const sums = [0, 0, 0, 0]
    values.forEach((x, i) => {
      sums[i % 4] = sums[i % 4]! + x * x
    })
    assert.strictEqual(kernels.sumSquares(0, bytes), sums[0]! + sums[1]! + (sums[2]! + sums[3]!))
    at(0).fill(0).set([3, 4])
    assert.strictEqual(kernels.sumSquares(0, bytes), 25)
  })

  it("adamW equals the loop in float32, bit for bit, and zeroes the gradients", () => {
    const next = random(2)
    const scale = () => 10 ** (6 * next() - 5)
    const start = [0, 1, 2, 3].map((k) =>
      Float32Array.from({ length: count }, () => (k === 3 ? next() : next() - 0.5) * scale())
    )
    start.forEach((values, k) => at(k).set(values))
    const [p, g, m, v] = start as [Float32Array, Float32Array, Float32Array, Float32Array]
    const scalars = {
      factor: 0.37,
      beta1: 0.9,
      rest1: 1 - 0.9,
      beta2: 0.999,
      rest2: 1 - 0.999,
      epsilon: 1e-8,
      shrink: 1 - 1e-4,
      step: 0.0123,
      correction: 3.21
    }
    kernels.adamW(0, bytes, 2 * bytes, 3 * bytes, bytes, ...adamScalars.map((name) => scalars[name]))
    adamLoop(p, g, m, v, scalars)
    for (const [k, expected] of [p, g, m, v].entries()) assert.deepStrictEqual(bits(at(k)), bits(expected))
  })
})

describe("parameters", () => {
  const shapes = [[3, 5], [7], [2, 2], [1], [6, 3]]
  const update: Update = {
    learningRate: 0.01,
    beta1: 0.9,
    beta2: 0.95,
    epsilon: 1e-8,
    weightDecay: 0.1,
    maxGradNorm: 0.5
  }

  it("updates as the float64 optimiser does, sparing vectors from decay, and clips once", () => {
    const start = model(shapes, 3)
    const store = parametersOf(start)
    store.train()
    const count = start.parameters.length
    const expected = { p: Float64Array.from(start.parameters), m: new Float64Array(count), v: new Float64Array(count) }
    const next = random(4)
    for (let step = 1; step <= 3; step++) {
      const gradient = Float64Array.from({ length: count }, () => f(next() - 0.5))
      let from = 0
      let squares = 0
      for (const place of store.places) {
        store.vector("gradients").set(gradient.subarray(from, from += place.size), place.from)
      }
      for (const x of gradient) squares += x * x
      const { clipped, gradNorm } = store.update(update)
      assert.closeTo(gradNorm, Math.sqrt(squares), 1e-12)
      assert.isTrue(clipped)
      const factor = 0.5 / (Math.sqrt(squares) + 1e-6)
      from = 0
      for (const { shape, size } of store.places) {
        const settings = shape.length === 1 ? { ...update, weightDecay: 0 } : update
        adamW(expected.p, gradient, expected, settings, { factor, from, to: from + size, updates: step })
        from += size
      }
      assert.deepStrictEqual(store.inOrder("gradients"), new Float32Array(count))
    }
    assert.strictEqual(store.updates(), 3)
    store.inOrder("parameters").forEach((value, i) => assert.closeTo(value, expected.p[i]!, 2e-7))
    store.inOrder("m").forEach((value, i) => assert.closeTo(value, expected.m[i]!, 1e-8))
  })

  it("goes on from an optimiser's state", () => {
    const start = model(shapes, 5)
    const one = parametersOf(start)
    one.train()
    const push = (store: typeof one) => {
      for (const { from, size } of store.places) {
        store.vector("gradients").subarray(from, from + size).forEach((_, i, all) => all[i] = Math.sin(i + 1))
      }
      store.update(update)
    }
    push(one)
    const two = parametersOf({ ...start, parameters: one.inOrder("parameters") }, {
      m: one.inOrder("m"),
      v: one.inOrder("v"),
      updates: one.updates()
    })
    push(one)
    push(two)
    assert.deepStrictEqual(two.inOrder("parameters"), one.inOrder("parameters"))
    assert.deepStrictEqual(two.inOrder("v"), one.inOrder("v"))
  })

  it("refuses what does not fit, saying how much it is", () => {
    const huge = { ...model([], 0), names: ["w"], shapes: [[32768, 32769]], parameters: new Float32Array(0) }
    assert.throws(() => parametersOf(huge), /1073774592 parameters need 4295098368 bytes/)
    const training = { ...huge, shapes: [[32768, 8193]] }
    assert.throws(
      () => parametersOf(training, { m: huge.parameters, v: huge.parameters, updates: 0 }),
      /268468224 parameters need 4295491584 bytes/
    )
  })
})
