// What every float32 engine must do, against the float64 oracle, stored log-probabilities of peers, and itself.
import { assert, describe, it } from "@effect/vitest"
import type { Recipe } from "@penchant/dsl/Recipe"
import * as Result from "effect/Result"
import type { Backend } from "../../src/compute/Backend.ts"
import { pack } from "../../src/compute/Batch.ts"
import type { ModelState } from "../../src/compute/Engine.ts"
import { trainedOf } from "../../src/compute/places.ts"
import { start as startOracle } from "../../src/compute/reference/backend.ts"
import { trainable } from "../../src/model/trainable.ts"
import {
  type Group,
  modelOf,
  random,
  randomModel,
  readJson,
  references,
  stories,
  tinyFamilies,
  tinyLlama,
  tokenGroups
} from "./fixtures.ts"

const vocabulary = 23

export const float32 = (model: ModelState): ModelState => ({
  ...model,
  parameters: Float32Array.from(model.parameters)
})

/** Lengths 1 to `longest`, 1 frequent: prompts of one token, branches that feed none. */
export const groupsOf = (seed: number, longest: number): ReadonlyArray<Group> => {
  const next = random(seed)
  const below = (n: number) => Math.floor(next() * n)
  const tokens = () => Array.from({ length: next() < 0.3 ? 1 : 1 + below(longest) }, () => below(vocabulary))
  const branches = 1 + below(3)
  return Array.from({ length: [1, 2, 4][below(3)]! }, () => ({
    prompt: tokens(),
    branches: Array.from({ length: branches }, tokens)
  }))
}
export const batchOf = (groups: ReadonlyArray<Group>) => pack(tokenGroups(groups), groups.map((_, i) => i))
export const largest = (values: Iterable<number>) => Array.from(values).reduce((a, b) => Math.max(a, Math.abs(b)), 0)

/**
 * Largest difference of each tensor, relative to the largest element of the layer's weight and bias: a bias of keys moves all
 * scores of a query alike, so what its gradient sums cancels.
 */
const tensorErrors = (
  model: Pick<ModelState, "names" | "shapes">,
  got: ArrayLike<number>,
  expected: ArrayLike<number>
) => {
  let at = 0
  const tensors = model.names.map((name, i) => {
    const size = model.shapes[i]!.reduce((a, b) => a * b, 1)
    const [from, to] = [at, at += size]
    const differences = Array.from({ length: size }, (_, j) => got[from + j]! - expected[from + j]!)
    const scale = largest(Array.prototype.slice.call(expected, from, to))
    return { name, layer: name.replace(/\.(weight|bias)$/, ""), difference: largest(differences), scale }
  })
  return tensors.map(({ difference, layer, name }) => ({
    name,
    // A tensor whose gradient is zero must get zeros.
    error: difference /
      Math.max(Number.MIN_VALUE, ...tensors.flatMap((each) => each.layer === layer ? [each.scale] : []))
  }))
}

interface Pair {
  readonly prompt_ids: ReadonlyArray<number>
  readonly chosen_ids: ReadonlyArray<number>
  readonly rejected_ids: ReadonlyArray<number>
}
export const pairs = (list: ReadonlyArray<Pair>): ReadonlyArray<Group> =>
  list.map((p) => ({ prompt: p.prompt_ids, branches: [p.chosen_ids, p.rejected_ids] }))

const families = Object.entries(tinyFamilies).map(([name, config], seed) => [name, randomModel(seed, config)] as const)

/** Registers the tests of one engine. */
export const float32Engine = (backend: Backend): void => {
  const oracle = startOracle({})
  it("changes no bit of a gradient by recomputing blocks", async () => {
    const batch = batchOf([
      { prompt: [1, 2, 3, 4], branches: [[5, 6, 7], [8]] },
      { prompt: [9], branches: [[10, 11], [12, 13, 14, 15]] }
    ])
    const coefficients = Float64Array.from(batch.targets, (_, n) => Math.cos(n))
    const gradients = async (recompute: boolean) => {
      const session = await backend.open(float32(tinyLlama(4, { num_hidden_layers: 3 })), {})
      const logProbs = await session.forward(batch, { recompute })
      await session.backward(coefficients)
      const summed = await session.gradients()
      await session.close()
      return { logProbs, summed }
    }
    const plain = await gradients(false)
    assert.isAbove(largest(plain.summed), 0)
    assert.deepStrictEqual(await gradients(true), plain)
  })
  describe("against the oracle", () => {
    const llamas = Array.from({ length: 8 }, (_, seed) => {
      const heads = seed % 3 === 0 ? { num_attention_heads: 4, num_key_value_heads: 4 } : {}
      // narrow and wide heads: engines may compute them by different means
      const width = seed % 2 === 0 ? {} : { head_dim: 40 }
      const config = { tie_word_embeddings: seed % 2 === 0, max_position_embeddings: 128, ...heads, ...width }
      return [`seed ${seed}`, tinyLlama(seed, config)] as const
    })
    for (const [seed, [name, model]] of [...llamas, ...families].entries()) {
      it(`log-probabilities and gradients of random batches, ${name}`, async () => {
        const batch = batchOf(groupsOf(seed, seed % 2 === 0 ? 7 : 40))
        const session = await backend.open(float32(model), {})
        const exact = await (await oracle).open(
          { ...model, parameters: Float64Array.from(float32(model).parameters) },
          {}
        )
        const next = random(seed + 100)
        for (const share of [1, 0.5]) {
          const [got, expected] = [await session.forward(batch), await exact.forward(batch)]
          assert.strictEqual(got.length, batch.targets.length)
          got.forEach((value, n) => assert.closeTo(value, expected[n]!, 5e-6))
          const coefficients = Float64Array.from(got, () => share * (2 * next() - 1))
          await session.backward(coefficients)
          await exact.backward(coefficients)
        }
        for (const { error, name } of tensorErrors(model, await session.gradients(), await exact.gradients())) {
          assert.isBelow(error, 1e-5, name)
        }
      })
    }
  })

  describe("what is trained alone", () => {
    const choices: ReadonlyArray<Partial<Recipe>> = [
      { lora: { rank: 3, alpha: 5, targets: "all-linear" } },
      { lora: { rank: 2, alpha: 2, targets: ["v_proj", "down_proj"] }, freeze: ["*.lora_A.*"] },
      { freeze: ["model.embed_tokens.*", "model.layers.0.*"] }
    ]
    for (const choice of choices) {
      it(`has gradients and moments, and moves: ${JSON.stringify(choice)}`, async () => {
        const batch = batchOf(groupsOf(5, 12))
        const model = Result.getOrThrow(trainable(tinyLlama(6), { seed: 1, ...choice }))
        const session = await backend.open(float32(model), {})
        const exact = await (await oracle).open(
          { ...model, parameters: Float64Array.from(float32(model).parameters) },
          {}
        )
        const update = { learningRate: 0.05, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, maxGradNorm: 1 }
        for (let step = 0; step < 3; step++) {
          const [got, expected] = [await session.forward(batch), await exact.forward(batch)]
          got.forEach((value, n) => assert.closeTo(value, expected[n]!, 2e-5))
          const coefficients = Float64Array.from(got, (_, n) => Math.sin(n + step))
          await session.backward(coefficients)
          await exact.backward(coefficients)
          const [ours, theirs] = [await session.gradients(), await exact.gradients()]
          for (const { error, name } of tensorErrors(trainedOf(model), ours, theirs)) assert.isBelow(error, 1e-4, name)
          const norms = [await session.update(update), await exact.update(update)]
          assert.closeTo(norms[0]!.gradNorm / norms[1]!.gradNorm, 1, 1e-4)
        }
        const count = trainedOf(model).parameters.length
        const { m, v } = await session.optimiser()
        assert.deepStrictEqual([m.length, v.length], [count, count])
        const [before, after] = [float32(model).parameters, (await session.weights()).parameters]
        const frozen = before.length - count
        assert.deepStrictEqual(after.subarray(0, frozen), before.subarray(0, frozen))
        assert.isTrue(after.subarray(frozen).some((value, i) => value !== before[frozen + i]))
        // The moments that another session begins with are of the same tensors.
        const again = await backend.open({ ...model, parameters: after }, { optimiser: { m, v, updates: 3 } })
        assert.deepStrictEqual(await again.optimiser(), { m, v, updates: 3 })
      })
    }
  })

  describe("packed and prefix-shared equals one by one", () => {
    for (let seed = 20; seed < 24; seed++) {
      it(`on random groups, seed ${seed}`, async () => {
        const groups = groupsOf(seed, 12)
        const model = float32(tinyLlama(seed))
        const together = await backend.open(model, {})
        const alone = await backend.open(model, {})
        const logProbs = await together.forward(batchOf(groups))
        const next = random(seed)
        const coefficients = Float64Array.from(logProbs, () => 2 * next() - 1)
        await together.backward(coefficients)
        let at = 0
        for (const { branches, prompt } of groups) {
          for (const branch of branches) {
            const expected = await alone.forward(batchOf([{ prompt, branches: [branch] }]))
            expected.forEach((value, i) => assert.closeTo(logProbs[at + i]!, value, 1e-5))
            await alone.backward(coefficients.slice(at, at += branch.length))
          }
        }
        const [got, expected] = [await together.gradients(), await alone.gradients()]
        for (const { error, name } of tensorErrors(model, got, expected)) assert.isBelow(error, 1e-5, name)
      })
    }
  })

  describe("a real model", () => {
    it("gives the stored log-probabilities of real pairs", async () => {
      const stored: ReadonlyArray<Pair & Record<"chosen" | "rejected", { readonly logps_f64: ReadonlyArray<number> }>> =
        readJson(new URL("logprobs.json", references)).pairs
      const session = await backend.open(modelOf(stories), {})
      for (let first = 0; first < stored.length; first += 4) {
        const four = stored.slice(first, first + 4)
        const got = await session.score(batchOf(pairs(four)))
        const expected = four.flatMap(({ chosen, rejected }) => chosen.logps_f64.concat(rejected.logps_f64))
        assert.strictEqual(got.length, expected.length)
        got.forEach((value, n) => assert.closeTo(value, expected[n]!, 1.6e-4))
      }
    })
  })
}
