// Every operation's gradient against central differences of its kernel, in float64, on random inputs.
import { assert, describe, it } from "@effect/vitest"
import { gradient } from "../../src/compute/gradient.ts"
import {
  type Builder,
  builder,
  type Dimension,
  type Input,
  type OperationName,
  type Value
} from "../../src/compute/Graph.ts"
import { gradients } from "../../src/compute/operations/gradients.ts"
import { type Environment, run, tableOf } from "../../src/compute/reference/run.ts"
import { floats, ints, type Tensor } from "../../src/compute/reference/Tensor.ts"
import { sizeOf, type Sizes } from "../../src/compute/sizes.ts"
import { random } from "./fixtures.ts"

// Two groups of a prompt and two branches; one prompt of length 1, one branch without rows.
const batch = {
  tokens: Int32Array.of(3, 1, 3, 0, 2, 4, 4, 3, 1),
  positions: Int32Array.of(0, 1, 2, 3, 2, 0, 1, 2, 3),
  segments: Int32Array.of(2, 2, 1, 1, 0, 3),
  rows: Int32Array.of(1, 2, 4, 5, 8, 6),
  // Row 0 serves two entries with different targets, row 3 two with the same one.
  predictor: Int32Array.of(0, 1, 0, 2, 3, 3, 4),
  targets: Int32Array.of(2, 0, 4, 1, 3, 3, 2)
}
const sizes: Sizes = { T: 9, M: 6, N: 7, G: 2, S: 6, P: 5 }

/** Builds the operation from named float inputs and says which of its outputs to differentiate. */
type Case = (g: Builder, input: (name: string, ...shape: ReadonlyArray<Dimension>) => Value) => Value

// `weight` inputs may have symbolic shapes here: only engines insist on numbers.
const cases: { readonly [N in OperationName as typeof gradients[N] extends "none" ? never : N]?: ReadonlyArray<Case> } =
  {
    add: [
      (g, x) => g.emit("add", { a: x("a", "T", 3), b: x("b", "T", 3) }, {}).y,
      (g, x) => g.emit("add", { a: x("a", "T", 3), b: x("b", 3) }, {}).y
    ],
    attention: [
      { kvHeads: 1 },
      { kvHeads: 2 },
      { kvHeads: 4 },
      { kvHeads: 2, window: 2 },
      { kvHeads: 2, softCap: 0.8 },
      { kvHeads: 1, window: 3, softCap: 0.3 }
    ].map(({ kvHeads, ...rest }): Case => (g, x) =>
      g.emit("attention", {
        q: x("q", "T", 12),
        k: x("k", "T", 3 * kvHeads),
        v: x("v", "T", 3 * kvHeads),
        segments: g.batch("segments")
      }, { heads: 4, kvHeads, headDim: 3, scale: 0.7, ...rest }).y
    ),
    columns: [{ period: 6, from: 2, to: 5 }, { period: 3, from: 0, to: 2 }, { period: 2, from: 1, to: 2 }].map((
      attributes
    ): Case =>
    (g, x) => g.emit("columns", { x: x("x", "T", 6) }, attributes).y),
    embedding: [(g, x) => g.emit("embedding", { table: x("table", 5, 3), ids: g.batch("tokens") }, {}).y],
    gatherRows: [(g, x) => g.emit("gatherRows", { x: x("x", "T", 3), rows: g.batch("rows") }, {}).y],
    gelu: (["none", "tanh"] as const).map((approximation): Case => (g, x) =>
      g.emit("gelu", { x: x("x", "T", 3) }, { approximation }).y
    ),
    layerNorm: [
      (g, x) =>
        g.emit("layerNorm", { x: x("x", "T", 4), weight: x("weight", 4), bias: x("bias", 4) }, { epsilon: 0.1 }).y
    ],
    mm: [false, true].flatMap((transA) =>
      [false, true].flatMap((transB) =>
        [undefined, [3, 5], [5]].map((c): Case => (g, x) =>
          g.emit("mm", {
            a: transA ? x("a", 4, 3) : x("a", 3, 4),
            b: transB ? x("b", 5, 4) : x("b", 4, 5),
            accumulator: c === undefined ? undefined : x("c", ...c)
          }, { transA, transB }).y
        )
      )
    ),
    multiply: [
      (g, x) => g.emit("multiply", { a: x("a", "T", 3), b: x("b", "T", 3) }, {}).y,
      (g, x) => {
        const a = x("a", "T", 3)
        return g.emit("multiply", { a, b: a }, {}).y
      }
    ],
    rmsNorm: [4, 8].flatMap((width) =>
      [undefined, 1].map((offset): Case => (g, x) =>
        g.emit("rmsNorm", { x: x("x", "T", width), weight: x("weight", 4) }, { epsilon: 0.1, offset }).y
      )
    ),
    rope: (["half", "interleaved"] as const).flatMap((style) =>
      [false, true].map((inverse): Case => (g, x) =>
        g.emit("rope", { x: x("x", "T", 12), positions: g.batch("positions"), ...g.tables([1, 0.3], 1.2) }, {
          headDim: 6,
          dims: 4,
          style,
          inverse
        }).y
      )
    ),
    scale: [(g, x) => g.emit("scale", { x: x("x", "T", 3) }, { factor: -1.7 }).y],
    swiglu: [(g, x) => g.emit("swiglu", { gate: x("gate", "T", 3), up: x("up", "T", 3) }, {}).y],
    tokenLogProb: [undefined, 0.4].map((softCap): Case => (g, x) =>
      g.emit("tokenLogProb", {
        hidden: x("hidden", "M", 3),
        head: x("head", 5, 3),
        predictor: g.batch("predictor"),
        targets: g.batch("targets")
      }, { softCap }).logProb
    )
  }

const fill = (shape: ReadonlyArray<Dimension>, next: () => number): Tensor => {
  const tensor = floats(shape.map((size) => sizeOf(size, sizes)))
  for (let i = 0; i < tensor.data.length; i++) tensor.data[i] = 2 * next() - 1
  return tensor
}

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
