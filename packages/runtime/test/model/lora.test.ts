// Adapters and frozen tensors: PEFT's numbers, what is trained and what is not, and the files that PEFT reads.
import { assert, describe, it } from "@effect/vitest"
import type { Lora, Recipe } from "@penchant/dsl/Recipe"
import * as Result from "effect/Result"
import * as fs from "node:fs"
import { pack } from "../../src/compute/Batch.ts"
import type { ModelState, Update } from "../../src/compute/Engine.ts"
import { planned } from "../../src/compute/footprint.ts"
import { start as startOnnx } from "../../src/compute/onnx/backend.ts"
import { trainedOf } from "../../src/compute/places.ts"
import { start as startReference } from "../../src/compute/reference/backend.ts"
import { decodeSafetensors } from "../../src/data/safetensors.ts"
import { forwardOf } from "../../src/model/families.ts"
import { merged } from "../../src/model/merged.ts"
import { peftFiles, withAdapters } from "../../src/model/peft.ts"
import { trainable } from "../../src/model/trainable.ts"
import {
  modelOf,
  randomModel,
  readJson,
  references,
  tinyFamilies,
  tinyLlama,
  tokenGroups
} from "../compute/fixtures.ts"

const trained = (model: ModelState, recipe: Partial<Recipe>): ModelState =>
  Result.getOrThrow(trainable(model, { seed: 0, ...recipe }))
const problem = (model: ModelState, recipe: Partial<Recipe>): string => {
  const { field, problem } = Result.getOrThrow(Result.flip(trainable(model, { seed: 0, ...recipe })))
  return `${field} ${problem}`
}
const largest = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  assert.strictEqual(a.length, b.length)
  return Array.from(a, (x, i) => Math.abs(x - b[i]!)).reduce((most, each) => Math.max(most, each), 0)
}
const lora = (rank: number, alpha: number, targets: Lora["targets"]): Lora => ({ rank, alpha, targets })

const peers: ReadonlyArray<readonly [string, Lora["targets"]]> = [
  ["llama", ["q_proj", "v_proj"]],
  ["gpt2", "all-linear"],
  // Queries, keys and values in one tensor, head by head and one after the other.
  ["gpt_neox", ["query_key_value", "dense"]],
  ["phi3", ["qkv_proj", "gate_up_proj", "down_proj"]]
]
const engines = { onnx: await startOnnx({ threads: 1 }), reference: await startReference({}) }

describe("against PEFT", () => {
  for (const [name, targets] of peers) {
    const at = new URL(`adapters/${name}/`, references)
    const file = new URL("adapter_model.safetensors", at)
    const base = trained(modelOf(new URL(`models/${name}/`, references)), { lora: lora(4, 8, targets) })
    const model = Result.getOrThrow(withAdapters(base, fs.readFileSync(file), file.pathname))
    const { after, before, curve, ids } = readJson(new URL("expected.json", at))
    const batches = ids.map((sequence: Array<number>) =>
      pack(tokenGroups([{ prompt: sequence.slice(0, 1), branches: [sequence.slice(1)] }]), [0])
    )

    for (const [engine, backend] of Object.entries(engines)) {
      it(`${name}: log-probabilities, three steps and what they lead to, ${engine}`, async () => {
        const session = await backend.open(model, {})
        const scores = async () => {
          const all: Array<number> = []
          for (const batch of batches) all.push(...await session.score(batch))
          return all
        }
        assert.isBelow(largest(await scores(), before.flat()), 5e-5)
        const update: Update = {
          learningRate: 0.01,
          beta1: 0.9,
          beta2: 0.999,
          epsilon: 1e-8,
          weightDecay: 0.1,
          maxGradNorm: 0.5
        }
        for (const { grad_norm, loss } of curve) {
          const logProbs = await session.forward(batches[0])
          const share = -1 / logProbs.length
          assert.closeTo(logProbs.reduce((sum, each) => sum + share * each, 0), loss, 1e-5)
          await session.backward(logProbs.map(() => share))
          const { clipped, gradNorm } = await session.update(update)
          assert.closeTo(gradNorm / grad_norm, 1, 1e-5)
          assert.isTrue(clipped)
        }
        assert.isBelow(largest(await scores(), after.flat()), 1e-4)
        const left = await session.weights()
        const still = model.parameters.length - trainedOf(model).parameters.length
        assert.deepStrictEqual(
          Float32Array.from(left.parameters.subarray(0, still)),
          model.parameters.subarray(0, still)
        )
        const { m, v } = await session.optimiser()
        assert.deepStrictEqual([m.length, v.length], [model.parameters.length - still, model.parameters.length - still])
        // Merged, they are the model.
        const whole = await backend.open(merged(left), {})
        for (const batch of batches) assert.isBelow(largest(await whole.score(batch), await session.score(batch)), 2e-5)
      })
    }

    it(`${name}: the files are those that PEFT wrote, tensor for tensor`, () => {
      const files = peftFiles(model)
      const tensors = (bytes: Uint8Array) => Result.getOrThrow(decodeSafetensors(bytes, "")).tensors
      assert.deepStrictEqual(tensors(files["adapter_model.safetensors"]!), tensors(fs.readFileSync(file)))
      const config = JSON.parse(new TextDecoder().decode(files["adapter_config.json"]))
      assert.deepStrictEqual([config.peft_type, config.r, config.lora_alpha], ["LORA", 4, 8])
      assert.strictEqual(config.fan_in_fan_out, name === "gpt2")
      assert.deepStrictEqual(config.target_modules, name === "gpt2" ? ["c_attn", "c_proj", "c_fc"] : targets)
      const text = Result.getOrThrow(Result.flip(withAdapters(base, files["adapter_config.json"]!, "a")))
      assert.strictEqual(text._tag, "BadFile")
      const other = trained(modelOf(new URL(`models/${name}/`, references)), { lora: lora(2, 8, targets) })
      const wrong = Result.getOrThrow(Result.flip(withAdapters(other, files["adapter_model.safetensors"]!, "a")))
      assert.match(wrong.message, /lora_A\.weight" is F32 \[4,32\]; the recipe says F32 \[2,32\]/)
    })
  }
})

describe("adapters", () => {
  it("change nothing at the start, in any family, and are all that is trained", async () => {
    const models = [tinyLlama(3), ...Object.values(tinyFamilies).map((config) => randomModel(3, config))]
    for (const model of models) {
      const adapted = trained(model, { lora: lora(2, 3, "all-linear") })
      const batch = pack(tokenGroups([{ prompt: [1, 2, 3], branches: [[4, 5, 6], [7]] }]), [0])
      const [plain, session] = await Promise.all([model, adapted].map((each) => engines.reference.open(each, {})))
      assert.deepStrictEqual(await session!.forward(batch), await plain!.score(batch))
      await session!.backward(Float64Array.from(batch.targets, (_, n) => Math.sin(n + 1)))
      const gradients = await session!.gradients()
      assert.strictEqual(gradients.length, trainedOf(adapted).parameters.length)
      assert.isAbove(Math.hypot(...gradients), 0)
      // A of any layer learns nothing while its B is zero.
      assert.isTrue(trainedOf(adapted).names.every((name) => name.includes(".lora_")))
      assert.deepStrictEqual({ ...merged(adapted), parameters: [] }, { ...merged(model), parameters: [] })
    }
  })

  it("are drawn from the recipe's seed, layer by layer", () => {
    const of = (seed: number, targets: Lora["targets"]) => trained(tinyLlama(1), { seed, lora: lora(2, 2, targets) })
    const values = (model: ModelState, name: string) => {
      const { names, parameters, shapes } = trainedOf(model)
      const i = names.indexOf(name)
      const from = shapes.slice(0, i).reduce((sum, [a, b]) => sum + a! * b!, 0)
      return [...parameters.subarray(from, from + shapes[i]![0]! * shapes[i]![1]!)]
    }
    const name = "model.layers.1.self_attn.v_proj.lora_A.weight"
    const one = values(of(1, "all-linear"), name)
    assert.isBelow(Math.max(...one.map(Math.abs)), 1 / Math.sqrt(12))
    assert.isAbove(new Set(one).size, 20)
    assert.deepStrictEqual(values(of(1, ["v_proj"]), name), one)
    assert.notDeepEqual(values(of(2, "all-linear"), name), one)
    assert.notDeepEqual(values(of(1, "all-linear"), name.replace("1.self", "0.self")), one)
    assert.deepStrictEqual(new Set(values(of(1, ["v_proj"]), name.replace("lora_A", "lora_B"))), new Set([0]))
  })

  it("of a layer that is not there are refused", () => {
    assert.strictEqual(
      problem(tinyLlama(1), { lora: lora(2, 2, ["q_proj", "query"]) }),
      `recipe.lora.targets names "query", which no linear layer is called; there are q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj`
    )
    for (
      const [target, near] of [
        ["q_prj", " (did you mean q_proj?)"],
        ["gate", " (did you mean gate_proj?)"],
        ["mlp.down_project", " (did you mean model.layers.0.mlp.down_proj or model.layers.1.mlp.down_proj?)"],
        ["attention.dense", ""],
        ["self_attn.qproj", " (did you mean model.layers.0.self_attn.q_proj or model.layers.1.self_attn.q_proj?)"]
      ] as const
    ) {
      assert.include(
        problem(tinyLlama(1), { lora: lora(2, 2, [target]) }),
        `"${target}", which no linear layer is called${near};`
      )
    }
  })
})

describe("frozen tensors", () => {
  it("keep their bits, and have no gradients, moments or part in the norm", async () => {
    const model = tinyLlama(2)
    const freeze: Recipe["freeze"] = ["model.embed_tokens.*", "model.layers.0.*"]
    const half = trained(model, { freeze })
    assert.strictEqual(half.frozen, 10)
    assert.deepStrictEqual(half.names.toSorted(), model.names.toSorted())
    const batch = pack(tokenGroups([{ prompt: [1, 2, 3], branches: [[4, 5, 6], [7]] }]), [0])
    const coefficients = Float64Array.from(batch.targets, (_, n) => Math.cos(n))
    const update: Update = {
      learningRate: 0.01,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay: 0.1,
      maxGradNorm: 0
    }
    const [all, some] = await Promise.all([model, half].map((each) => engines.reference.open(each, {})))
    for (const session of [all!, some!]) {
      await session.forward(batch)
      await session.backward(coefficients)
    }
    const byName = ({ names, shapes }: Pick<ModelState, "names" | "shapes">, values: ArrayLike<number>) => {
      let at = 0
      return new Map(names.map((name, i) => {
        const size = shapes[i]!.reduce((a, b) => a * b, 1)
        return [name, Array.prototype.slice.call(values, at, at += size) as Array<number>] as const
      }))
    }
    const [whole, part] = [byName(model, await all!.gradients()), byName(trainedOf(half), await some!.gradients())]
    for (const [name, gradient] of part) assert.deepStrictEqual(gradient, whole.get(name), name)
    const { gradNorm } = await some!.update(update)
    assert.closeTo(gradNorm, Math.hypot(...[...part.values()].flat()), 1e-12)
    const [before, after] = [byName(model, model.parameters), byName(half, (await some!.weights()).parameters)]
    for (const [name, values] of after) {
      const frozen = /embed_tokens|layers\.0/.test(name)
      assert.strictEqual(largest(values, before.get(name)!) === 0, frozen, name)
    }
    // The way back ends at the last tensor that is trained.
    const operations = (of: ModelState) => planned(forwardOf(of)).plain.graph.nodes.length
    assert.isBelow(operations(half), 0.6 * operations(model))
  })

  it("are refused where a pattern matches nothing, or everything", () => {
    assert.strictEqual(
      problem(tinyLlama(1), { freeze: ["layers.0.*"] }),
      `recipe.freeze has "layers.0.*", which matches no tensor (did you mean model.layers.0.input_layernorm.weight or model.layers.0.self_attn.q_proj.weight?)`
    )
    assert.strictEqual(
      problem(tinyLlama(1), { freeze: ["model.embed_token.*"] }),
      `recipe.freeze has "model.embed_token.*", which matches no tensor (did you mean model.embed_tokens.weight?)`
    )
    assert.strictEqual(
      problem(tinyLlama(1), { freeze: ["transformer.wte.*"] }),
      `recipe.freeze has "transformer.wte.*", which matches no tensor, such as model.embed_tokens.weight`
    )
    assert.strictEqual(problem(tinyLlama(1), { freeze: ["*"] }), "recipe.freeze leaves no tensor to train: * match all")
  })

  it("may be a part of the adapters", () => {
    const model = trained(tinyLlama(1), { lora: lora(2, 2, ["q_proj"]), freeze: ["*.lora_A.*"] })
    assert.deepStrictEqual(
      trainedOf(model).names,
      [0, 1].map((l) => `model.layers.${l}.self_attn.q_proj.lora_B.weight`)
    )
  })
})
