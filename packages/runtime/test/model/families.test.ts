// What the config of each family may ask for, and the forms in which published folders come.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { decodeSafetensors, encodeSafetensors, type Tensor } from "../../src/data/safetensors.ts"
import { architecture } from "../../src/model/families.ts"
import { loadModel } from "../../src/model/load.ts"
import { fitsPositions } from "../../src/model/positions.ts"
import { readJson, references, tokenGroups } from "../compute/fixtures.ts"
import { scratch } from "../training/scratch.ts"

const configOf = (name: string) => readJson(new URL(`models/${name}/config.json`, references))
const problemOf = (config: object): string => {
  const { field, problem } = Result.getOrThrow(Result.flip(architecture(config)))
  return `${field} ${problem}`
}

describe("configs are refused by the field", () => {
  const cases: ReadonlyArray<readonly [string, object, string]> = [
    ["mistral", { layer_types: ["full_attention", "sliding_attention"] }, "layer_types is not null"],
    ["mistral", { sliding_window: 0 }, "sliding_window is wrong"],
    ["mistral", { hidden_act: "gelu" }, "hidden_act is \"gelu\"; supported is silu"],
    ["qwen2", { layer_types: ["full_attention"] }, "layer_types names 1 layers of 2"],
    ["qwen2", { layer_types: ["full_attention", "chunked_attention"] }, "layer_types names \"chunked_attention\""],
    ["qwen2", { layer_types: ["full_attention", "sliding_attention"] }, "sliding_window is missing"],
    ["qwen3", { rope_parameters: { rope_type: "su", factor: 2 } }, "rope_parameters.rope_type is \"su\""],
    ["gemma2", { quantization_config: {} }, "quantization_config says that the weights are quantised"],
    ["phi3", { rope_scaling: { type: "longrope", short_factor: [1, 1] } }, "rope_scaling.short_factor has 2 numbers"],
    ["phi3", { partial_rotary_factor: 0.1 }, "head_dim is 8, of which 0 turn"],
    ["gpt2", { add_cross_attention: true }, "add_cross_attention is true; supported is false"],
    ["gpt2", { n_head: 5 }, "n_head is 5, which does not divide n_embd 32"],
    ["gpt2", { activation_function: "relu" }, "activation_function is \"relu\"; supported are gelu, gelu_new"],
    ["gpt2", { n_embd: null }, "n_embd is wrong"],
    ["gpt_neox", { num_attention_heads: 3 }, "num_attention_heads is 3, which does not divide hidden_size 32"],
    ["gpt_neox", { hidden_act: "toString" }, "hidden_act is \"toString\""],
    ["gemma2", { use_bidirectional_attention: true }, "use_bidirectional_attention is true"],
    ["gemma2", { attention_bias: true }, "attention_bias is true"],
    ["gemma2", { head_dim: 7 }, "head_dim is 7"],
    ["gemma2", { attn_logit_softcapping: 0 }, "attn_logit_softcapping is wrong"],
    ["gemma3", { attn_logit_softcapping: 50 }, "attn_logit_softcapping is 50; supported is null"],
    ["gemma3", { rope_parameters: { full_attention: { rope_type: "x" } } }, "rope_scaling.rope_type is \"x\""]
  ]
  for (const [family, change, expected] of cases) {
    it(`${family} ${JSON.stringify(change)}`, () => {
      assert.include(problemOf({ ...configOf(family), ...change }), expected)
    })
  }
})

describe("configs are read with the defaults of transformers", () => {
  const nodes = (config: object, operation: string) =>
    Result.getOrThrow(architecture(config)).forward().graph.nodes.filter((node) => node.operation === operation)
  const windows = (config: object) =>
    nodes(config, "attention").map(({ attributes }) => (attributes as { readonly window?: number }).window)
  const without = (config: Readonly<Record<string, unknown>>, ...fields: ReadonlyArray<string>) =>
    Object.fromEntries(Object.entries(config).filter(([field]) => !fields.includes(field)))

  it("windows", () => {
    assert.deepStrictEqual(windows({ ...configOf("mistral"), sliding_window: null }), [undefined, undefined])
    assert.deepStrictEqual(windows(without(configOf("mistral"), "sliding_window")), [4096, 4096])
    assert.deepStrictEqual(windows(without(configOf("phi3"), "sliding_window")), [undefined, undefined])
    // A window that use_sliding_window does not switch on.
    const qwen = without(configOf("qwen2"), "layer_types")
    assert.deepStrictEqual(windows({ ...qwen, sliding_window: 9 }), [undefined, undefined])
    const sliding = { ...qwen, sliding_window: 9, use_sliding_window: true, max_window_layers: 1 }
    assert.deepStrictEqual(windows(sliding), [undefined, 9])
    assert.deepStrictEqual(windows(without(configOf("gemma2"), "layer_types")), [16, undefined])
    const gemma = { ...without(configOf("gemma3"), "sliding_window_pattern"), num_hidden_layers: 7 }
    assert.deepStrictEqual(windows(gemma), [16, 16, 16, 16, 16, undefined, 16])
  })

  it("soft caps", () => {
    const absent = without(configOf("gemma2"), "attn_logit_softcapping", "final_logit_softcapping")
    const caps = (config: object) =>
      [...nodes(config, "attention"), ...nodes(config, "tokenLogProb")].map(({ attributes }) =>
        (attributes as { readonly softCap?: number }).softCap
      )
    assert.deepStrictEqual(caps(absent), [50, 50, 30])
    assert.deepStrictEqual(
      caps({ ...absent, attn_logit_softcapping: null, final_logit_softcapping: null }),
      [undefined, undefined, undefined]
    )
  })

  it("rotary angles of Gemma 3 as transformers 4 and 5 write them", () => {
    const old = configOf("gemma3")
    const renewed = {
      ...without(old, "rope_theta", "rope_local_base_freq", "rope_scaling", "sliding_window_pattern"),
      layer_types: ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"],
      rope_parameters: {
        full_attention: { rope_type: "linear", factor: 8, rope_theta: 1e6 },
        sliding_attention: { rope_type: "default", rope_theta: 1e4 }
      }
    }
    const graph = (config: object) => Result.getOrThrow(architecture(config)).forward().graph
    assert.strictEqual(JSON.stringify(graph(renewed)), JSON.stringify(graph(old)))
    assert.notStrictEqual(JSON.stringify(graph({ ...old, rope_theta: 1e5 })), JSON.stringify(graph(old)))
  })

  it("dropout is named as what training leaves out", () => {
    const ignored = (name: string) => Result.getOrThrow(architecture(configOf(name))).ignored
    assert.deepStrictEqual(ignored("gpt2"), ["resid_pdrop 0.1", "embd_pdrop 0.1", "attn_pdrop 0.1"])
    assert.deepStrictEqual(ignored("gpt_neox"), [])
  })
})

describe("positions", () => {
  it("are as many as the config says, or as its angles hold for", () => {
    const groups = tokenGroups([
      { prompt: [1, 2], branches: [[3], [4, 5, 6]] },
      { prompt: [1], branches: [[2, 3, 4, 5], [6]] }
    ])
    const fits = (config: object) => Result.map(fitsPositions(config, groups, "train dpo"), () => "fits")
    assert.strictEqual(Result.getOrThrow(fits({ ...configOf("gpt2"), n_positions: 4 })), "fits")
    const short = Result.getOrThrow(Result.flip(fits({ ...configOf("gpt2"), n_positions: 3 })))
    assert.strictEqual(
      short.message,
      `train dpo: "positions" end at 3, and row 0 needs 4: tokenise with a maxLength of 3 or less`
    )
    const rope_scaling = { type: "longrope", short_factor: [1, 1, 1, 1] }
    const phi = { ...configOf("phi3"), original_max_position_embeddings: 3, rope_scaling }
    assert.include(Result.getOrThrow(Result.flip(fits(phi))).message, "end at 3")
  })
})

describe("folders as they were published", () => {
  const loading = (name: string, change: (tensors: Readonly<Record<string, Tensor>>) => Record<string, Tensor>) =>
    Effect.gen(function*() {
      const from = fileURLToPath(new URL(`models/${name}/`, references))
      const file = fs.readFileSync(path.join(from, "model.safetensors"))
      const { tensors } = Result.getOrThrow(decodeSafetensors(file, "model.safetensors"))
      const folder = yield* scratch
      fs.copyFileSync(path.join(from, "config.json"), path.join(folder, "config.json"))
      fs.writeFileSync(path.join(folder, "model.safetensors"), encodeSafetensors(change(tensors)))
      return { changed: yield* loadModel(folder), plain: yield* loadModel(from) }
    })

  for (const [name, prefix] of [["llama", "model."], ["gemma2", "model."], ["gpt_neox", "gpt_neox."]] as const) {
    it.effect(`${name} without the prefix`, () =>
      Effect.scoped(Effect.gen(function*() {
        const { changed, plain } = yield* loading(name, (tensors) =>
          Object.fromEntries(Object.entries(tensors).map(([tensor, value]) => [tensor.replace(prefix, ""), value])))
        assert.deepStrictEqual(changed, plain)
      })))
  }

  it.effect("GPT-2 without the prefix, and with its masks", () =>
    Effect.scoped(Effect.gen(function*() {
      const { changed, plain } = yield* loading("gpt2", (tensors) => ({
        ...Object.fromEntries(
          Object.entries(tensors).map(([name, tensor]) => [name.replace("transformer.", ""), tensor])
        ),
        "h.0.attn.bias": { dtype: "F32", shape: [1, 1, 2, 2], data: new Float32Array(4) }
      }))
      assert.deepStrictEqual(changed, plain)
    })))

  it.effect("Pythia with its masks and frequencies", () =>
    Effect.scoped(Effect.gen(function*() {
      const at = "gpt_neox.layers.0.attention."
      const { changed, plain } = yield* loading("gpt_neox", (tensors) => ({
        ...tensors,
        [`${at}bias`]: { dtype: "BOOL", shape: [1, 1, 2, 2], data: new Uint8Array(4) },
        [`${at}masked_bias`]: { dtype: "F16", shape: [], data: new Uint16Array(1) },
        [`${at}rotary_emb.inv_freq`]: { dtype: "F32", shape: [2], data: new Float32Array(2) }
      }))
      assert.deepStrictEqual(changed, plain)
    })))
})
