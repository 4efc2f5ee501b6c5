// Recomputation by block: the same bits from fewer saved values, whatever the family.
import { assert, describe, it } from "@effect/vitest"
import { pack } from "../../src/compute/Batch.ts"
import type { ModelState } from "../../src/compute/Engine.ts"
import { gradient } from "../../src/compute/gradient.ts"
import { blocksOf, recomputed } from "../../src/compute/recompute.ts"
import { start } from "../../src/compute/reference/backend.ts"
import { forwardOf, randomModel, tinyFamilies, tinyLlama, tokenGroups } from "./fixtures.ts"

const models: ReadonlyArray<readonly [string, ModelState]> = [
  ["tied", tinyLlama(1)],
  ["untied, 5 layers", tinyLlama(2, { num_hidden_layers: 5, tie_word_embeddings: false })],
  ["1 layer", tinyLlama(3, { num_hidden_layers: 1 })],
  ...Object.entries(tinyFamilies).map(([name, config]) => [name, randomModel(4, config)] as const)
]

describe("recomputation", () => {
  for (const [name, model] of models) {
    it(`leaves every gradient as it was, bit for bit (${name})`, async () => {
      const groups = tokenGroups([
        { prompt: [1, 2, 3], branches: [[4, 5], [6]] },
        { prompt: [7], branches: [[8, 9, 10, 11], [12, 13]] }
      ])
      const batch = pack(groups, [0, 1])
      const coefficients = Float64Array.from(batch.targets, (_, n) => Math.sin(n + 1))
      const gradients = async (recompute: boolean) => {
        const session = await (await start({})).open(model, {})
        const logProbs = await session.forward(batch, { recompute })
        await session.backward(coefficients)
        return { logProbs, gradients: await session.gradients() }
      }
      const plain = await gradients(false)
      assert.isAbove(Math.hypot(...plain.gradients), 0)
      assert.deepStrictEqual(await gradients(true), plain)
    })
  }

  it("makes one block of each layer, and keeps of the layers their inputs alone", () => {
    const { graph, logProb, weights } = forwardOf(tinyLlama(2, { num_hidden_layers: 5 }))
    const blocks = blocksOf(graph)
    assert.strictEqual(blocks.length, 5)
    // A layer of this family is 13 operations, after the embedding, each block where the one before it ends. The last gathers
    // what predicts of its input, of that input's norm, and of the positions.
    const [first, last] = [blocks.slice(0, -1), blocks.at(-1)!]
    first.forEach(({ from, to }, i) => assert.deepStrictEqual([from, to], [1 + 13 * i, 14 + 13 * i]))
    assert.deepStrictEqual([last.from, last.to], [1 + 13 * 4, 14 + 13 * 4 + 3])
    const plain = gradient(graph, logProb, weights)
    const sparing = recomputed(graph, plain)
    const inside = (saved: ReadonlyArray<unknown>) =>
      graph.nodes.slice(1, blocks.at(-1)!.to).flatMap((node) => Object.values(node.outputs)).filter((value) =>
        saved.includes(value)
      )
    // Two norms with their inverses, q, k, v, attention and what it keeps, the sum after it, gate, up, their product; the inputs
    // of four layers, and what the last one gathers.
    assert.strictEqual(inside(plain.saved).length, 5 * 13 + 4 + 3)
    // The inputs of layers 1 to 4, and what leaves the last; that of layer 0 is the embedding's output.
    assert.deepStrictEqual(
      inside(sparing.saved),
      blocks.flatMap(({ to }) => Object.values(graph.nodes[to - 1]!.outputs))
    )
    assert.deepStrictEqual(sparing.graph.outputs, plain.graph.outputs)
    const names = sparing.graph.nodes.flatMap((node) => Object.values(node.outputs)).map(({ name }) => name)
    assert.strictEqual(new Set(names).size, names.length)
  })
})
