// Bytes and operations that are computed from a graph, against what the reference engine holds and against sums by hand.
import { assert, describe, it } from "@effect/vitest"
import type { Lora } from "@penchant/dsl/Recipe"
import * as Result from "effect/Result"
import { pack } from "../../src/compute/Batch.ts"
import type { ModelState } from "../../src/compute/Engine.ts"
import { peakOf, trainingFlops } from "../../src/compute/flops.ts"
import { footprintOf, planned } from "../../src/compute/footprint.ts"
import { builder } from "../../src/compute/Graph.ts"
import { loadOf, scaledTo } from "../../src/compute/load.ts"
import { type Environment, run, tableOf } from "../../src/compute/reference/run.ts"
import { floats, ints } from "../../src/compute/reference/Tensor.ts"
import { forwardOf as forwardIn } from "../../src/model/families.ts"
import { trainable } from "../../src/model/trainable.ts"
import { forwardOf, tinyLlama, tokenGroups } from "./fixtures.ts"

const model = tinyLlama(2, { num_hidden_layers: 3 })
const data = tokenGroups([
  { prompt: [1, 2, 3], branches: [[4, 5], [6]] },
  { prompt: [7], branches: [[8, 9, 10, 11], [12, 13]] }
])
// Rows: 3 + 1 + 0, then 1 + 3 + 1; completion tokens 3 and 6; predicting rows 1 + 1 + 0 and 1 + 3 + 1.
const load = loadOf(data, [0, 1], data.sides)

describe("a load", () => {
  it("has the sizes of the packed batch", () => {
    const batch = pack(data, [0, 1])
    assert.deepStrictEqual(load.sizes, { T: 9, M: 7, N: 9, G: 2, S: 6, P: 4 })
    assert.deepStrictEqual([batch.tokens.length, batch.rows.length, batch.targets.length], [9, 7, 9])
    // Blocks of own rows and keys: 3 x 3, 1 x 4, then 1 x 1, 3 x 4, 1 x 2.
    // Of a prompt its last row alone predicts.
    assert.deepStrictEqual(load.pairs, { T: 9 + 4 + 1 + 12 + 2, M: 3 + 4 + 1 + 12 + 2 })
    assert.deepStrictEqual(load.seen, { T: 6 + 4 + 1 + (3 + 6) + 2, M: 3 + 4 + 1 + (3 + 6) + 2 })
    assert.deepStrictEqual(scaledTo(load, 18).sizes, { T: 18, M: 14, N: 18, G: 4, S: 12, P: 4 })
  })
})

describe("a footprint", () => {
  it("has gradients and moments of what is trained alone", () => {
    const adapted = Result.getOrThrow(trainable(model, { seed: 0, lora: { rank: 2, alpha: 2, targets: ["q_proj"] } }))
    const of = (state: ModelState) => footprintOf(planned(forwardIn(state)), { engine: "onnx" }, load, false)!
    const [all, some] = [of(model), of(adapted)]
    // 3 layers of A [2, 12] and B [24, 2].
    const trained = 3 * (2 * 12 + 24 * 2)
    assert.deepStrictEqual([some.gradients, some.optimiser], [4 * trained, 8 * trained])
    assert.strictEqual(some.weights, all.weights + 4 * trained)
  })

  for (const recompute of [false, true]) {
    it(`keeps between forward and backward what the reference engine does${recompute ? ", recomputing" : ""}`, () => {
      const { graph, logProb } = forwardOf(model)
      const graphs = planned(forwardOf(model))
      const backward = recompute ? graphs.sparing : graphs.plain
      const batch = pack(data, [0, 1])
      const environment: Environment = new Map()
      let at = 0
      for (const input of graphs.forward.inputs) {
        const { source } = input
        if (source.kind === "batch") environment.set(input, ints(batch[source.field]))
        if (source.kind === "table") {
          environment.set(input, floats([4, source.frequencies.length], tableOf(source, 4)))
        }
        if (source.kind === "weight") {
          const size = (input.shape as ReadonlyArray<number>).reduce((a, b) => a * b, 1)
          const values = model.parameters.subarray(at, at += size) as Float64Array
          environment.set(input, floats(input.shape as ReadonlyArray<number>, values))
        }
      }
      const given = new Set(environment.keys())
      assert.strictEqual(graph.nodes.length, graphs.forward.nodes.length)
      assert.isDefined(logProb)
      run(graphs.forward, environment, [...graphs.forward.outputs, ...backward.saved], load.sizes)
      const held = [...environment].filter(([value]) => !given.has(value))
        .reduce((sum, [, tensor]) => sum + tensor.data.byteLength, 0)
      const plan = footprintOf(graphs, { engine: "reference" }, load, recompute)!
      assert.strictEqual(plan.activations, held)
      assert.strictEqual(plan.weights, 8 * model.parameters.length)
      assert.isAbove(plan.workspace, 0)
      const { activations, gradients, optimiser, weights, workspace } = plan
      assert.strictEqual(plan.total, weights + gradients + optimiser + activations + workspace)
    })
  }

  it("is what lives at once, counted by hand, on the torch engine", () => {
    // rows: 3 and 1 fed, of which 2 predict; the head's table is the embedding's, 5 x 3
    const g = builder()
    const table = g.weight("table", [5, 3])
    const x = g.emit("embedding", { table, ids: g.batch("tokens") }, {}).y
    const bent = g.emit("gelu", { x }, { approximation: "none" }).y
    const hidden = g.emit("gatherRows", { x: bent, rows: g.batch("rows") }, {}).y
    const [predictor, targets] = [g.batch("predictor"), g.batch("targets")]
    const { logProb } = g.emit("tokenLogProb", { hidden, head: table, predictor, targets }, {})
    const graphs = planned({ graph: g.finish([logProb]), logProb, weights: [table] })
    const one = tokenGroups([{ prompt: [1, 2, 3], branches: [[4, 0]] }])
    const { sizes } = loadOf(one, [0], one.sides)
    assert.deepStrictEqual([sizes.T, sizes.M, sizes.N], [4, 2, 2])
    const plan = footprintOf(
      graphs,
      { engine: "torch" },
      { sizes, pairs: { T: 0, M: 0 }, seen: { T: 0, M: 0 } },
      false
    )!
    // Kept: x 4 x 3 for gelu's slope, hidden 2 x 3, logits 2 x 5, and the output, 2 tokens.
    assert.strictEqual(plan.activations, 4 * (12 + 6 + 10 + 2))
    // Most at the head's gradient: beside that the gradients of hidden and of the table, and two arrays of logits.
    assert.closeTo(plan.activations + plan.workspace, 1.05 * 4 * (12 + 6 + 10 + 2 + 6 + 15 + 2 * 10), 1e-9)
    assert.strictEqual(plan.total, 16 * 15 + plan.activations + plan.workspace)
  })

  it("has 16 bytes a parameter in float32, and grows with rows alone", () => {
    const graphs = planned(forwardOf(model))
    const of = (rows: number, recompute = false) =>
      footprintOf(graphs, { engine: "torch" }, scaledTo(load, rows), recompute)!
    const { gradients, optimiser, weights } = of(9)
    assert.strictEqual(weights + gradients + optimiser, 16 * model.parameters.length)
    assert.closeTo(of(900).activations, 100 * of(9).activations, 1e-3)
    assert.isBelow(of(900, true).total, of(900).total)
    assert.isUndefined(footprintOf(graphs, { engine: "unheard of" }, load, false))
  })
})

describe("operations of a training run", () => {
  it("are three forwards of matrix products and of causal attention", () => {
    // Per layer q 24 x 12, k and v 12 x 12 each, o 12 x 24, gate and up 10 x 12, down 12 x 10; head 23 x 12. Of the last layer
    // the 7 rows that predict are enough, except for keys and values.
    const keys = 2 * 12 * 12
    const others = 24 * 12 + 12 * 24 + 2 * 10 * 12 + 12 * 10
    const attention = 4 * (4 * 6) * (2 * load.seen.T + load.seen.M)
    const whole = 2 * 9 * (3 * keys + 2 * others) + 2 * 7 * (others + 23 * 12) + attention
    assert.strictEqual(trainingFlops(planned(forwardOf(model)), load), 3 * whole)
    // Of frozen weights no gradient is computed, and none flows below the last layer's queries: o, gate, up, down and head pass on.
    const lora: Lora = { rank: 2, alpha: 2, targets: ["q_proj"] }
    const last = Result.getOrThrow(trainable(model, { seed: 0, lora, freeze: ["model.layers.{0,1}.*lora*"] }))
    const pass = 2 * 7 * (12 * 24 + 2 * 10 * 12 + 12 * 10 + 23 * 12) + 8 * (4 * 6) * load.seen.M
    const narrow = 2 * (9 + 9 + 7) * (2 * 12 + 24 * 2)
    assert.strictEqual(
      trainingFlops(planned(forwardIn(last)), load),
      whole + narrow + pass + 2 * 7 * (24 * 2 + 24 * 2 + 2 * 12)
    )
  })

  it("have a peak on devices that are listed, by the whole name, and none on others", () => {
    assert.strictEqual(peakOf("NVIDIA H100 80GB HBM3", "bfloat16"), 989e12)
    assert.strictEqual(peakOf("NVIDIA H100 PCIe", "bfloat16"), 756e12)
    assert.strictEqual(peakOf("NVIDIA A100-SXM4-80GB", "bfloat16"), 312e12)
    assert.strictEqual(peakOf("NVIDIA A100-SXM4-80GB", "float32"), 19.5e12)
    assert.isUndefined(peakOf("NVIDIA GeForce GTX 1080", "bfloat16"))
    assert.isUndefined(peakOf("NVIDIA H100 80GB HBM3", "float64"))
  })
})
