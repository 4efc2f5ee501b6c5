// Twelve fused steps on real pairs against a run of torch: two micro-batches each, clipping and AdamW included.
import { assert, describe, it } from "@effect/vitest"
import type { Formula, Need } from "@penchant/dsl/Formula"
import type { Objective } from "@penchant/dsl/Objective"
import { simplify } from "@penchant/dsl/Simplify"
import { dil } from "@penchant/objectives/dil"
import { dpo } from "@penchant/objectives/dpo"
import * as Result from "effect/Result"
import * as fs from "node:fs"
import { pack } from "../../src/compute/Batch.ts"
import { start } from "../../src/compute/onnx/backend.ts"
import { decodeSafetensors } from "../../src/data/safetensors.ts"
import { modelOf, readJson, references, stories, tokenGroups } from "./fixtures.ts"

interface Pair {
  readonly prompt_ids: ReadonlyArray<number>
  readonly chosen_ids: ReadonlyArray<number>
  readonly rejected_ids: ReadonlyArray<number>
}
interface Run {
  readonly objective: string
  readonly curve: ReadonlyArray<{ readonly grad_norm: number }>
  readonly heldout: ReadonlyArray<{ readonly chosen: ReadonlyArray<number>; readonly rejected: ReadonlyArray<number> }>
}
const groupsOf = (pairs: ReadonlyArray<Pair>) =>
  tokenGroups(pairs.map((p) => ({ prompt: p.prompt_ids, branches: [p.chosen_ids, p.rejected_ids] })))

const stored = readJson(new URL("training.json", references))
const runs: ReadonlyArray<Run> = stored.runs
const data = groupsOf(stored.training_pairs)
const heldout = groupsOf(stored.heldout_pairs)
const final = Result.getOrThrow(
  decodeSafetensors(fs.readFileSync(new URL("training-final-tensors.safetensors", references)), "final tensors")
).tensors

const trained: ReadonlyArray<readonly [string, Objective]> = [["dpo", dpo({ beta: 0.1 })], ["dil-lsif", dil.lsif()]]

describe("training as torch does", () => {
  for (const [name, objective] of trained) {
    it(`${name} reaches the same weights`, { timeout: 120_000 }, async () => {
      const run = runs.find((each) => each.objective === name)!
      const backend = await start({})
      const model = modelOf(stories)
      const fused = {
        formula: simplify((objective.loss as Formula<Need>).node),
        parameters: objective.parameters,
        sides: ["chosen", "rejected"]
      }
      const session = await backend.open(model, { fused })
      const reference = await backend.open(model, {})
      for (const [step, learningRate] of (stored.setup.lr_per_step as ReadonlyArray<number>).entries()) {
        for (const first of [8 * step, 8 * step + 4]) {
          const batch = pack(data, [first, first + 1, first + 2, first + 3])
          const inputs = { reference: await reference.score(batch), columns: {}, scale: 1 / 8 }
          await session.fused!(batch, inputs)
        }
        const adam = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 }
        const { clipped, gradNorm } = await session.update({ ...adam, learningRate })
        const expected = run.curve[step]!.grad_norm
        assert.closeTo(gradNorm / expected, 1, 2e-5)
        assert.strictEqual(clipped, expected > 1)
      }
      const weights = await session.weights()
      for (const tensor of ["model.layers.0.self_attn.q_proj.weight", "model.norm.weight"]) {
        const at = model.names.indexOf(tensor)
        const size = (shape: ReadonlyArray<number>) => shape.reduce((a, b) => a * b, 1)
        const from = model.shapes.slice(0, at).reduce((sum, shape) => sum + size(shape), 0)
        const expected = final[`${name}/${tensor}`]!.data as Float32Array
        expected.forEach((value, i) => assert.closeTo(weights.parameters[from + i]!, value, 5e-6))
      }
      const got = await session.score(pack(heldout, [0, 1, 2, 3]))
      const expected = run.heldout.flatMap(({ chosen, rejected }) => chosen.concat(rejected))
      assert.strictEqual(got.length, expected.length)
      expected.forEach((value, i) => assert.closeTo(got[i]!, value, 1e-4))
      await backend.close()
    })
  }
})
