// Packing without padding and computing a shared prompt once change nothing: values and gradients as one by one.
import { assert, describe, it } from "@effect/vitest"
import { pack } from "../../src/compute/Batch.ts"
import { start } from "../../src/compute/reference/backend.ts"
import { type Group, random, randomModel, tinyFamilies, tinyLlama, tokenGroups } from "./fixtures.ts"

const vocabulary = 23

/** 1 to 4 groups of 1 to 3 branches; lengths 1 to 7, with 1 frequent. */
const randomGroups = (seed: number): ReadonlyArray<Group> => {
  const next = random(seed)
  const below = (n: number) => Math.floor(next() * n)
  const tokens = () => Array.from({ length: next() < 0.3 ? 1 : 1 + below(7) }, () => below(vocabulary))
  const branches = 1 + below(3)
  return Array.from({ length: 1 + below(4) }, () => ({
    prompt: tokens(),
    branches: Array.from({ length: branches }, tokens)
  }))
}

describe("packed and prefix-shared equals one by one", () => {
  const models = [
    ...Array.from(
      { length: 12 },
      (_, seed) => [`seed ${seed}`, tinyLlama(seed, { tie_word_embeddings: seed % 2 === 0 })] as const
    ),
    ...Object.entries(tinyFamilies).map(([name, config]) => [name, randomModel(5, config)] as const)
  ]
  for (const [seed, [name, model]] of models.entries()) {
    it(`on random groups, ${name}`, async () => {
      const groups = randomGroups(seed)
      const next = random(seed + 100)
      const backend = await start({})
      const together = await backend.open(model, {})
      const batch = pack(tokenGroups(groups), groups.map((_, i) => i))
      const logProbs = await together.forward(batch)
      const coefficients = Float64Array.from(logProbs, () => 2 * next() - 1)
      await together.backward(coefficients)

      const alone = await backend.open(model, {})
      let at = 0
      for (const { branches, prompt } of groups) {
        for (const branch of branches) {
          const one = pack(tokenGroups([{ prompt, branches: [branch] }]), [0])
          const expected = await alone.forward(one)
          const part = coefficients.slice(at, at + branch.length)
          expected.forEach((value, i) => assert.closeTo(logProbs[at + i]!, value, 1e-9))
          await alone.backward(part)
          at += branch.length
        }
      }
      assert.strictEqual(at, logProbs.length)
      const [got, expected] = [await together.gradients(), await alone.gradients()]
      assert.isAbove(Math.max(...expected.map(Math.abs)), 1e-3)
      expected.forEach((value, i) => assert.closeTo(got[i]!, value, 1e-9))
    })
  }

  it("and the gradient of a whole model equals finite differences", async () => {
    const groups = randomGroups(3)
    const model = tinyLlama(3, { num_hidden_layers: 1, hidden_size: 4, intermediate_size: 5, head_dim: 2 })
    const backend = await start({})
    const batch = pack(tokenGroups(groups), groups.map((_, i) => i))
    const session = await backend.open(model, {})
    const coefficients = Float64Array.from(await session.forward(batch), (_, i) => Math.sin(i + 1))
    await session.backward(coefficients)
    const got = await session.gradients()
    const value = async (i: number, by: number) => {
      const parameters = Float64Array.from(model.parameters)
      parameters[i] = parameters[i]! + by
      const moved = await backend.open({ ...model, parameters }, {})
      return (await moved.score(batch)).reduce((sum, x, n) => sum + x * coefficients[n]!, 0)
    }
    for (let i = 0; i < got.length; i += 3) {
      assert.closeTo((await value(i, 1e-5) - await value(i, -1e-5)) / 2e-5, got[i]!, 1e-7)
    }
  })
})
