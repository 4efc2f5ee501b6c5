// Every operation's gradient against central differences of its kernel, in float64, on random inputs.
import { assert, describe, it } from "@effect/vitest"
import { gradient } from "../../src/compute/gradient.ts"
import { builder, type Input, type Value } from "../../src/compute/Graph.ts"
import { gradients } from "../../src/compute/operations/gradients.ts"
import { type Environment, run, tableOf } from "../../src/compute/reference/run.ts"
import { floats, ints } from "../../src/compute/reference/Tensor.ts"
import { random } from "./fixtures.ts"
import { batch, type Case, cases, fill, sizes } from "./operationCases.ts"

/** Largest |gradient - central difference| over all elements of all float inputs. */
const discrepancy = (build: Case, seed: number): number => {
  const next = random(seed)
  const g = builder()
  const wants: Array<Input> = []
  const output = build(g, (name, ...shape) => {
    const input = g.weight(name, shape as ReadonlyArray<number>)
    wants.push(input)
    return input
  })
  const graph = g.finish([output])
  const backward = gradient(graph, output, wants)
  const environment: Environment = new Map()
  for (const input of [...graph.inputs, ...backward.graph.inputs]) {
    if (environment.has(input)) continue
    const { source } = input
    if (source.kind === "batch") environment.set(input, ints(batch[source.field]))
    else if (source.kind === "table") {
      environment.set(input, floats([sizes.P, source.frequencies.length], tableOf(source, sizes.P)))
    } else environment.set(input, fill(input.shape, next))
  }
  const cotangent = backward.graph.inputs.find(({ source }) => source.kind === "cotangent")
  assert.isDefined(cotangent)
  const weights = environment.get(cotangent)!.data
  const value = () => {
    const copy: Environment = new Map(environment)
    run(graph, copy, [output], sizes)
    return copy.get(output)!.data.reduce((sum, y, i) => sum + y * weights[i]!, 0)
  }
  const both: Environment = new Map(environment)
  run(graph, both, [output, ...backward.saved], sizes)
  run(backward.graph, both, backward.graph.outputs, sizes)
  let most = 0
  wants.forEach((want, w) => {
    const { data } = environment.get(want)!
    const got = both.get(backward.graph.outputs[w]!)!
    assert.deepStrictEqual(got.shape, environment.get(want)!.shape)
    for (let i = 0; i < data.length; i++) {
      const at = data[i]!
      data[i] = at + 1e-5
      const up = value()
      data[i] = at - 1e-5
      const down = value()
      data[i] = at
      most = Math.max(most, Math.abs((up - down) / 2e-5 - got.data[i]!))
    }
  })
  return most
}

describe("gradients", () => {
  for (const [operation, builds] of Object.entries(cases)) {
    it(`${operation} equals finite differences`, () => {
      builds.forEach((build, i) => {
        for (let seed = 0; seed < 3; seed++) assert.isBelow(discrepancy(build, 10 * i + seed), 1e-8)
      })
    })
  }

  it("has a case for every operation that has a gradient", () => {
    const differentiable = Object.entries(gradients).filter(([, rule]) => rule !== "none").map(([name]) => name)
    assert.deepStrictEqual(Object.keys(cases), differentiable)
  })

  it("sums the contributions of a value used twice, and folds the sums into products", () => {
    assert.isBelow(
      discrepancy((g, x) => {
        const a = x("a", "T", 3)
        const w = x("w", 3, 3)
        const h = g.emit("mm", { a, b: w, accumulator: a }, { transA: false, transB: true }).y
        const y = g.emit("mm", { a: h, b: w, accumulator: a }, { transA: false, transB: false }).y
        return g.emit("swiglu", { gate: y, up: h }, {}).y
      }, 1),
      1e-8
    )
  })

  it("does no work for what nobody wants", () => {
    const g = builder()
    const a = g.weight("a", [2, 3])
    const b = g.weight("b", [4, 3])
    const { y } = g.emit("mm", { a, b }, { transA: false, transB: true })
    const graph = g.finish([y])
    assert.deepStrictEqual(gradient(graph, y, [a]).graph.nodes.map((node) => node.operation), ["mm"])
    assert.strictEqual(gradient(graph, y, [a, b]).graph.nodes.length, 2)
    assert.throws(() => gradient(graph, y, [g.weight("c", [1])]), "does not depend on c")
  })
})

describe("worked numbers", () => {
  it("attention of two queries over a shared prompt, by hand", () => {
    // One head of dimension 1, keys 0 so that every visible row weighs the same: y is the mean of the values seen.
    const g = builder()
    const q = g.weight("q", [5, 1])
    const k = g.weight("k", [5, 1])
    const v = g.weight("v", [5, 1])
    const { y } = g.emit("attention", { q, k, v, segments: g.batch("segments") }, {
      heads: 1,
      kvHeads: 1,
      headDim: 1,
      scale: 1
    })
    const environment: Environment = new Map([
      [q, floats([5, 1])],
      [k, floats([5, 1])],
      [v, floats([5, 1], Float64Array.of(1, 2, 6, 12, 30))]
    ])
    const graph = g.finish([y])
    const segments = graph.inputs.find(({ name }) => name === "segments")!
    // Prompt rows 0 and 1, branch 0 rows 2 and 3, branch 1 row 4.
    environment.set(segments, ints(Int32Array.of(2, 2, 1)))
    run(graph, environment, [y], { T: 5, M: 0, N: 0, G: 1, S: 3, P: 0 })
    assert.deepStrictEqual([...environment.get(y)!.data], [1, 1.5, 3, 5.25, 11])
  })

  it("a window is a distance, also across a shared prompt", () => {
    // Keys 0: y is the mean of the values in the window.
    const g = builder()
    const [q, k, v] = ["q", "k", "v"].map((name) => g.weight(name, [6, 1])) as [Input, Input, Input]
    const { y } = g.emit("attention", { q, k, v, segments: g.batch("segments") }, {
      heads: 1,
      kvHeads: 1,
      headDim: 1,
      scale: 1,
      window: 2
    })
    const environment: Environment = new Map([
      [q, floats([6, 1])],
      [k, floats([6, 1])],
      [v, floats([6, 1], Float64Array.of(1, 3, 7, 15, 31, 63))]
    ])
    const graph = g.finish([y])
    // Prompt rows 0 to 2, branch 0 rows 3 and 4, branch 1 row 5.
    environment.set(graph.inputs.find(({ name }) => name === "segments")!, ints(Int32Array.of(3, 2, 1)))
    run(graph, environment, [y], { T: 6, M: 0, N: 0, G: 1, S: 3, P: 0 })
    assert.deepStrictEqual([...environment.get(y)!.data], [1, 2, 5, 11, 23, 35])
  })

  it("norms of rows, gelu, and its tanh approximation, as torch has them", () => {
    const g = builder()
    const x = g.weight("x", [1, 4])
    const weight = g.weight("weight", [4])
    const bias = g.weight("bias", [4])
    const normed = g.emit("layerNorm", { x, weight, bias }, { epsilon: 0 }).y
    const scaled = g.emit("rmsNorm", { x, weight: g.weight("head", [2]) }, { epsilon: 0, offset: 1 }).y
    const exact = g.emit("gelu", { x }, { approximation: "none" }).y
    const tanh = g.emit("gelu", { x }, { approximation: "tanh" }).y
    const parts = g.emit("columns", { x }, { period: 2, from: 1, to: 2 }).y
    const outputs = [normed, scaled, exact, tanh, parts]
    const environment: Environment = new Map([
      [x, floats([1, 4], Float64Array.of(-2, 0.5, 1, 8.5))],
      [weight, floats([4], Float64Array.of(1, 1, 2, 0))],
      [bias, floats([4], Float64Array.of(0, 1, 0, 5))]
    ])
    const graph = g.finish(outputs)
    environment.set(graph.inputs.find(({ name }) => name === "head")!, floats([2], Float64Array.of(0, 1)))
    run(graph, environment, outputs, { T: 1, M: 0, N: 0, G: 1, S: 1, P: 0 })
    const near = (value: Value, expected: ReadonlyArray<number>) =>
      expected.forEach((each, i) => assert.closeTo(environment.get(value)!.data[i]!, each, 1e-12))
    // Mean 2, variance (16 + 2.25 + 1 + 42.25) / 4.
    const deviation = Math.sqrt(15.375)
    near(normed, [-4 / deviation, 1 - 1.5 / deviation, -2 / deviation, 5])
    const [first, second] = [Math.sqrt(4.25 / 2), Math.sqrt(73.25 / 2)]
    near(scaled, [-2 / first, 1 / first, 1 / second, 17 / second])
    // torch 2.13, float64.
    near(exact, [-0.04550026389635842, 0.34573123063700656, 0.841344746068543, 8.5])
    near(tanh, [-0.04540230591222494, 0.34571400982514394, 0.8411919906082768, 8.5])
    near(parts, [0.5, 8.5])
  })

  it("refuses inputs that do not fit", () => {
    const g = builder()
    const a = g.weight("a", [2, 3])
    assert.throws(() => g.emit("mm", { a, b: a }, { transA: false, transB: false }), "mm: inputs do not fit")
    assert.throws(() => g.emit("rmsNorm", { x: a, weight: g.weight("w", [2]) }, { epsilon: 1 }), "rmsNorm")
  })
})
