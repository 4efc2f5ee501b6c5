// Steps of DPO on real pairs, against a float64 run in torch: forward, backward, clipping and AdamW together.
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as fs from "node:fs"
import type { BackendSession } from "../../src/compute/Backend.ts"
import { pack } from "../../src/compute/Batch.ts"
import type { Update } from "../../src/compute/Engine.ts"
import { adamW, clipFactor } from "../../src/compute/optimiser.ts"
import { start } from "../../src/compute/reference/backend.ts"
import { decodeSafetensors } from "../../src/data/safetensors.ts"
import { modelOf, readJson, references, stories, thorough, tinyLlama, tokenGroups } from "./fixtures.ts"

interface Pair {
  readonly row: number
  readonly prompt_ids: ReadonlyArray<number>
  readonly chosen_ids: ReadonlyArray<number>
  readonly rejected_ids: ReadonlyArray<number>
}
const groupsOf = (pairs: ReadonlyArray<Pair>) =>
  tokenGroups(pairs.map((p) => ({ prompt: p.prompt_ids, branches: [p.chosen_ids, p.rejected_ids] })))

const stored = readJson(new URL("training.json", references))
const run = stored.runs.find((r: { readonly objective: string }) => r.objective === "dpo")
const beta: number = run.params.beta
const data = groupsOf(stored.training_pairs)

const settings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 }

/** One optimiser step on 8 pairs; the mean loss over them and the gradient norm. */
const dpoStep = async (policy: BackendSession, reference: BackendSession, step: number) => {
  const batch = pack(data, Array.from({ length: 8 }, (_, i) => 8 * step + i))
  const logRatios = await policy.forward(batch)
  const under = await reference.score(batch)
  under.forEach((logProb, n) => {
    logRatios[n] = logRatios[n]! - logProb
  })
  // loss = mean over pairs of -log sigmoid(beta margin); d loss / d margin = -beta sigmoid(-beta margin) / pairs.
  const coefficients = new Float64Array(logRatios.length)
  let loss = 0
  let n = 0
  for (let pair = 0; pair < 8; pair++) {
    const [chosen, rejected] = [batch.lengths[2 * pair]!, batch.lengths[2 * pair + 1]!]
    const sum = (from: number, length: number) => logRatios.subarray(from, from + length).reduce((a, b) => a + b, 0)
    const margin = sum(n, chosen) - sum(n + chosen, rejected)
    const slope = beta / (1 + Math.exp(beta * margin)) / 8
    loss += Math.log1p(Math.exp(-beta * margin)) / 8
    coefficients.fill(-slope, n, n + chosen).fill(slope, n + chosen, n + chosen + rejected)
    n += chosen + rejected
  }
  await policy.backward(coefficients)
  const update: Update = { ...settings, learningRate: stored.setup.lr_per_step[step] }
  return { loss, ...await policy.update(update) }
}

/** Held-out log-probabilities 1e-4 and two final tensors 5e-6, after the last step. */
const checkResult = async (policy: BackendSession) => {
  const model = modelOf(stories)
  const trained = await policy.weights()
  const moved = (trained.parameters as Float64Array).reduce((sum, x, i) => sum + (x - model.parameters[i]!) ** 2, 0)
  assert.closeTo(Math.sqrt(moved), run.float64_run.param_change_l2, 1e-6)
  const { tensors } = Result.getOrThrow(
    decodeSafetensors(fs.readFileSync(new URL("training-final-tensors.safetensors", references)), "final tensors")
  )
  for (const name of ["model.layers.0.self_attn.q_proj.weight", "model.norm.weight"]) {
    const at = model.names.indexOf(name)
    const size = (shape: ReadonlyArray<number>) => shape.reduce((a, b) => a * b, 1)
    const from = model.shapes.slice(0, at).reduce((sum, shape) => sum + size(shape), 0)
    const expected = tensors[`dpo/${name}`]!.data as Float32Array
    expected.forEach((value, i) => assert.closeTo(trained.parameters[from + i]!, value, 5e-6))
  }
  const heldout = groupsOf(stored.heldout_pairs)
  const got = await policy.score(pack(heldout, heldout.ids.map(Number)))
  const expected: ReadonlyArray<number> = run.heldout.flatMap((
    p: { readonly chosen: ReadonlyArray<number>; readonly rejected: ReadonlyArray<number> }
  ) => p.chosen.concat(p.rejected))
  assert.strictEqual(got.length, expected.length)
  expected.forEach((value, i) => assert.closeTo(got[i]!, value, 1e-4))
}

describe("training", () => {
  it("dpo on 8 pairs a step: loss 1e-5, gradient norm 1e-5 relative", { timeout: 300_000 }, async () => {
    const model = modelOf(stories)
    const backend = await start({})
    const [policy, reference] = [await backend.open(model, {}), await backend.open(model, {})]
    const steps = thorough ? 12 : 4
    for (let step = 0; step < steps; step++) {
      const { clipped, gradNorm, loss } = await dpoStep(policy, reference, step)
      assert.isTrue(clipped)
      assert.closeTo(loss, run.float64_run.loss[step], 1e-5)
      assert.closeTo(gradNorm / run.float64_run.grad_norm[step], 1, 1e-5)
    }
    if (thorough) await checkResult(policy)
  })

  it("gradients add up over batches, and an update clears them", async () => {
    const backend = await start({})
    const model = tinyLlama(1)
    const groups = tokenGroups([{ prompt: [1, 2], branches: [[3, 4]] }, { prompt: [5], branches: [[6, 7, 8]] }])
    const [whole, parts] = [await backend.open(model, {}), await backend.open(model, {})]
    await whole.forward(pack(groups, [0, 1]))
    await whole.backward(Float64Array.of(1, 2, 3, 4, 5))
    await parts.forward(pack(groups, [0]))
    await parts.backward(Float64Array.of(1, 2))
    await parts.forward(pack(groups, [1]))
    await parts.backward(Float64Array.of(3, 4, 5))
    const expected = await whole.gradients()
    const got = await parts.gradients()
    expected.forEach((value, i) => assert.closeTo(got[i]!, value, 1e-12))
    await parts.update({ ...settings, learningRate: 0 })
    assert.isTrue((await parts.gradients()).every((g) => g === 0))
    assert.deepStrictEqual((await parts.weights()).parameters, model.parameters)
  })

  it("goes on from saved weights and optimiser state as if it had never stopped", async () => {
    const backend = await start({})
    const groups = tokenGroups([{ prompt: [1, 2], branches: [[3, 4]] }])
    const step = async (session: BackendSession, k: number) => {
      await session.forward(pack(groups, [0]))
      await session.backward(Float64Array.of(1, -k))
      await session.update({ ...settings, weightDecay: 0.1, learningRate: 0.01 })
    }
    const straight = await backend.open(tinyLlama(2), {})
    for (let k = 0; k < 4; k++) await step(straight, k)
    const first = await backend.open(tinyLlama(2), {})
    for (let k = 0; k < 2; k++) await step(first, k)
    const second = await backend.open(await first.weights(), { optimiser: await first.optimiser() })
    for (let k = 2; k < 4; k++) await step(second, k)
    assert.deepStrictEqual((await second.weights()).parameters, (await straight.weights()).parameters)
    assert.strictEqual((await second.optimiser()).updates, 4)
  })
})

describe("AdamW by hand", () => {
  const update: Update = { ...settings, learningRate: 0.1, weightDecay: 0.5, epsilon: 0 }

  it("the first step moves by the learning rate against the gradient's sign, after the decay", () => {
    const parameters = Float64Array.of(2, 2)
    const state = { m: new Float64Array(2), v: new Float64Array(2) }
    adamW(parameters, Float64Array.of(3, -7), state, update, { factor: 1, from: 0, to: 2, updates: 1 })
    // 2 (1 - 0.1 * 0.5) -+ 0.1
    assert.closeTo(parameters[0]!, 1.8, 1e-12)
    assert.closeTo(parameters[1]!, 2, 1e-12)
    assert.closeTo(state.m[0]!, 0.3, 1e-12)
    assert.closeTo(state.v[0]!, 0.009, 1e-12)
  })

  it("clips to maxGradNorm, and not at all when it is 0", () => {
    assert.strictEqual(clipFactor(4, { ...update, maxGradNorm: 2 }), 2 / (4 + 1e-6))
    assert.strictEqual(clipFactor(1, { ...update, maxGradNorm: 2 }), 1)
    assert.strictEqual(clipFactor(1e9, { ...update, maxGradNorm: 0 }), 1)
  })

  it("decay spares norms", async () => {
    const backend = await start({})
    const model = tinyLlama(5)
    const session = await backend.open(model, {})
    // Without a gradient only the decay moves a weight.
    await session.update({ ...settings, epsilon: 1e-8, learningRate: 0.1, weightDecay: 0.5 })
    const { parameters } = await session.weights()
    let at = 0
    model.shapes.forEach((shape) => {
      const size = shape.reduce((a, b) => a * b, 1)
      for (let i = at; i < at + size; i++) {
        assert.closeTo(parameters[i]!, model.parameters[i]! * (shape.length > 1 ? 0.95 : 1), 1e-12)
      }
      at += size
    })
  })
})
