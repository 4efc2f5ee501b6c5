// Generation against transformers' stored continuations, and of the cached engine against one that computes all again.
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import type { Backend, BackendSession } from "../../src/compute/Backend.ts"
import type { ModelState } from "../../src/compute/Engine.ts"
import { start } from "../../src/compute/onnx/backend.ts"
import { start as startOracle } from "../../src/compute/reference/backend.ts"
import { start as startTorch } from "../../src/compute/torch/backend.ts"
import { discover } from "../../src/compute/torch/discovery.ts"
import type { GenerateOptions, Prompt } from "../../src/generation/Generation.ts"
import {
  modelOf,
  random,
  randomModel,
  readJson,
  references,
  stories,
  thorough,
  tinyFamilies,
  tinyLlama
} from "../compute/fixtures.ts"

const backend = await start({ threads: 2 })
const oracle = await startOracle({})
const found = discover()
if ("problem" in found) console.log(`SKIPPED: generation on the torch engine: ${found.problem}`)
/** Engines with a cache. */
const cached: ReadonlyArray<readonly [string, Backend]> = [
  ["onnx", backend],
  ...("problem" in found ? [] : [["torch", await startTorch({ threads: 1 })] as const])
]
const tokenizer = fileURLToPath(stories)
const options: GenerateOptions = {
  sampling: { temperature: 0 },
  samples: 1,
  maxTokens: 64,
  eos: [2],
  stop: [],
  tokenizer,
  seed: 0
}
const generations = readJson(new URL("generation.json", references))
const run = (session: BackendSession, prompts: ReadonlyArray<Prompt>, changes: Partial<GenerateOptions> = {}) =>
  session.generate(prompts, { ...options, ...changes })
const promptsOf = (items: ReadonlyArray<{ readonly prompt_ids: ReadonlyArray<number> }>): ReadonlyArray<Prompt> =>
  items.map(({ prompt_ids }, i) => ({ id: String(i), tokens: Int32Array.from(prompt_ids) }))

for (
  const [name, engine, count] of [
    ...cached.map(([name, engine]) => [name, engine, 12] as const),
    ["reference", oracle, thorough ? 12 : 1] as const
  ]
) {
  it(`greedy equals transformers on the real model, ${name}`, async () => {
    const session = await engine.open(modelOf(stories), {})
    for (const item of generations.stories260K.items.slice(-count)) {
      const [sample] = await run(session, promptsOf([item]), { stop: item.stop, logProbs: true })
      assert.deepStrictEqual([...sample!.tokens], item.tokens, item.source)
      assert.strictEqual(sample!.finish, item.finish)
      sample!.logProbs!.forEach((value, i) => assert.closeTo(value, item.top1_logprob[i], 5e-5))
    }
  })

  it(`greedy equals transformers on the tiny models, ${name}`, async () => {
    for (const [model, { items }] of Object.entries<{ items: Array<any> }>(generations.models)) {
      const folder = new URL(`models/${model}/`, references)
      if (!fs.existsSync(folder)) continue
      const session = await engine.open(modelOf(folder), {})
      const samples = await run(session, promptsOf(items), { maxTokens: 32, eos: [] })
      samples.forEach((sample, i) => assert.deepStrictEqual([...sample.tokens], items[i].tokens, `${model} ${i}`))
    }
  })
}

describe("the cache", () => {
  const float32 = (model: ModelState): ModelState => ({ ...model, parameters: Float32Array.from(model.parameters) })
  /** Lengths 1 to 9. */
  const prompts = (seed: number, count: number): ReadonlyArray<Prompt> => {
    const next = random(seed)
    return Array.from({ length: count }, (_, i) => ({
      id: `prompt ${i}`,
      tokens: Int32Array.from({ length: i === 0 ? 1 : 1 + Math.floor(9 * next()) }, () => Math.floor(23 * next()))
    }))
  }
  const models: ReadonlyArray<readonly [string, number, ModelState]> = [
    ["llama", 1, tinyLlama(0)],
    ["llama, 4/4 heads", 3, tinyLlama(1, { num_key_value_heads: 4 })],
    ["llama, 4/1 heads", 2, tinyLlama(2, { num_key_value_heads: 1 })],
    ...Object.entries(tinyFamilies).map(([name, config], i) => [name, 1 + i % 3, randomModel(i, config)] as const)
  ]

  const cases = models.flatMap(([name, samples, model], seed) =>
    cached.map(([engine, backend]) => ({ name: `${name}, ${engine}`, samples, model, seed, backend }))
  )
  for (const { backend, model, name, samples, seed } of cases) {
    it(`gives what computing all again gives, ${samples} samples of each prompt, ${name}`, async () => {
      const session = await backend.open(float32(model), {})
      const exact = await oracle.open({ ...model, parameters: Float64Array.from(float32(model).parameters) }, {})
      // Ends come at different steps, so that groups leave the batch on the way.
      const changes = { samples, maxTokens: 14, eos: [3, 7], logProbs: true, sampling: { temperature: 0.9 } }
      const ours = await run(session, prompts(seed, 11), changes)
      const expected = await run(exact, prompts(seed, 11), changes)
      assert.isAbove(new Set(expected.map(({ tokens }) => tokens.length)).size, 3)
      for (const [i, { finish, logProbs, tokens }] of expected.entries()) {
        assert.deepStrictEqual([...ours[i]!.tokens], [...tokens], `sample ${i}`)
        assert.strictEqual(ours[i]!.finish, finish)
        logProbs!.forEach((value, t) => assert.closeTo(ours[i]!.logProbs![t]!, value, 5e-6))
      }
    })
  }
})

it("a sample is the same alone and in any batch", async () => {
  const session = await backend.open(modelOf(stories), {})
  const all = promptsOf(generations.stories260K.items.slice(0, 6))
  const changes = {
    samples: 2,
    maxTokens: 24,
    sampling: { temperature: 1, topP: 0.95, topK: 100, repetitionPenalty: 1.1 }
  }
  const together = await run(session, all, changes)
  assert.isAbove(new Set(together.map(({ tokens }) => tokens.join())).size, 11)
  for (const p of [0, 3, 5]) {
    const alone = await run(session, [all[p]!], changes)
    assert.deepStrictEqual(alone.map(({ tokens }) => Array.from(tokens)), [
      [...together[2 * p]!.tokens],
      [...together[2 * p + 1]!.tokens]
    ])
  }
  const other = await run(session, all, { ...changes, seed: 1 })
  assert.notDeepEqual(other.map(({ tokens }) => Array.from(tokens)), together.map(({ tokens }) => Array.from(tokens)))
})

it("no token is made when none is asked for", async () => {
  const session = await backend.open(modelOf(stories), {})
  const [sample] = await run(session, promptsOf(generations.stories260K.items.slice(0, 1)), { maxTokens: 0 })
  assert.deepStrictEqual([...sample!.tokens], [])
})

it("stop strings without a tokenizer are refused", async () => {
  const session = await backend.open(modelOf(stories), {})
  const { tokenizer: _, ...without } = options
  const prompts = promptsOf(generations.stories260K.items.slice(0, 1))
  const problem = await session.generate(prompts, { ...without, stop: ["."] }).then(() => "", (error) => error.message)
  assert.match(problem, /tokenizer/)
})
