// An example of every operation that has a gradient, on random inputs: for finite differences, and for engines against the
// reference kernels.
import type { Builder, Dimension, OperationName, Value } from "../../src/compute/Graph.ts"
import type { gradients } from "../../src/compute/operations/gradients.ts"
import { floats, type Tensor } from "../../src/compute/reference/Tensor.ts"
import { sizeOf, type Sizes } from "../../src/compute/sizes.ts"

// Two groups of a prompt and two branches; one prompt of length 1, one branch without rows.
export const batch = {
  tokens: Int32Array.of(3, 1, 3, 0, 2, 4, 4, 3, 1),
  positions: Int32Array.of(0, 1, 2, 3, 2, 0, 1, 2, 3),
  segments: Int32Array.of(2, 2, 1, 1, 0, 3),
  rows: Int32Array.of(1, 2, 4, 5, 8, 6),
  // Row 0 serves two entries with different targets, row 3 two with the same one.
  predictor: Int32Array.of(0, 1, 0, 2, 3, 3, 4),
  targets: Int32Array.of(2, 0, 4, 1, 3, 3, 2)
}
export const sizes: Sizes = { T: 9, M: 6, N: 7, G: 2, S: 6, P: 5 }

/** Builds the operation from named float inputs and says which of its outputs to differentiate. */
export type Case = (g: Builder, input: (name: string, ...shape: ReadonlyArray<Dimension>) => Value) => Value

// `weight` inputs may have symbolic shapes here: only engines insist on numbers.
export const cases: {
  readonly [N in OperationName as typeof gradients[N] extends "none" ? never : N]?: ReadonlyArray<Case>
} = {
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
    (g, x) => g.emit("layerNorm", { x: x("x", "T", 4), weight: x("weight", 4), bias: x("bias", 4) }, { epsilon: 0.1 }).y
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

export const fill = (shape: ReadonlyArray<Dimension>, next: () => number): Tensor => {
  const tensor = floats(shape.map((size) => sizeOf(size, sizes)))
  for (let i = 0; i < tensor.data.length; i++) tensor.data[i] = 2 * next() - 1
  return tensor
}
