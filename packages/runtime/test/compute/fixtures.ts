// Batches and models for the compute tests: stored references, and small random ones from a seed.
import * as Result from "effect/Result"
import * as fs from "node:fs"
import type { TokenGroups } from "../../src/compute/Batch.ts"
import type { ModelState } from "../../src/compute/Engine.ts"
import { decodeSafetensors } from "../../src/data/safetensors.ts"
import { architecture } from "../../src/model/families.ts"

export const repository = new URL("../../../../", import.meta.url)
export const references = new URL("../references/", import.meta.url)
export const stories = new URL("data/models/stories260K/", repository)

export const readJson = (file: URL) => JSON.parse(fs.readFileSync(file, "utf8"))

/** The float64 oracle is slow: it runs part of the stored numbers by default, all of them under PENCHANT_THOROUGH=1. */
export const thorough = process.env["PENCHANT_THOROUGH"] === "1"

/** [0, 1), the same for the same seed (mulberry32). */
export const random = (seed: number) => () => {
  seed = seed + 0x6d2b79f5 | 0
  let t = Math.imul(seed ^ seed >>> 15, 1 | seed)
  t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t
  return ((t ^ t >>> 14) >>> 0) / 2 ** 32
}

export interface Group {
  readonly prompt: ReadonlyArray<number>
  readonly branches: ReadonlyArray<ReadonlyArray<number>>
}

/** All groups must have as many branches as the first. */
export const tokenGroups = (groups: ReadonlyArray<Group>): TokenGroups => {
  const lengths = groups.map(({ branches, prompt }) => branches.reduce((sum, b) => sum + b.length, prompt.length))
  const offsets = [0]
  for (const length of lengths) offsets.push(offsets.at(-1)! + length)
  return {
    tokens: Int32Array.from(groups.flatMap(({ branches, prompt }) => [...prompt, ...branches.flat()])),
    offsets: Int32Array.from(offsets),
    promptLength: Int32Array.from(groups, ({ prompt }) => prompt.length),
    branchLength: Int32Array.from(groups.flatMap(({ branches }) => branches.map((b) => b.length))),
    sides: groups[0]!.branches.map((_, b) => `side${b}`),
    ids: groups.map((_, g) => String(g)),
    columns: {}
  }
}

/** A model folder read without the code under test; float32 only. */
export const modelOf = (dir: URL): ModelState => {
  const config = readJson(new URL("config.json", dir))
  const { tensors } = Result.getOrThrow(
    decodeSafetensors(fs.readFileSync(new URL("model.safetensors", dir)), dir.pathname)
  )
  const names = Result.getOrThrow(architecture(config)).tensors.map(({ name }) => name)
  return {
    config,
    names,
    shapes: names.map((name) => tensors[name]!.shape),
    parameters: Float32Array.from(names.flatMap((name) => Array.from(tensors[name]!.data as Float32Array)))
  }
}

const llamaSizes = {
  vocab_size: 23,
  hidden_size: 12,
  intermediate_size: 10,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 6,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5
}

/** A small config of each family but Llama, 2 layers and 23 tokens, where windows are shorter than the batches of tests. */
export const tinyFamilies: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  gemma2: {
    architectures: ["Gemma2ForCausalLM"],
    ...llamaSizes,
    sliding_window: 4,
    query_pre_attn_scalar: 7,
    attn_logit_softcapping: 1.5,
    final_logit_softcapping: 2
  },
  gemma3: {
    architectures: ["Gemma3ForCausalLM"],
    ...llamaSizes,
    sliding_window: 5,
    sliding_window_pattern: 2,
    query_pre_attn_scalar: 7,
    rope_scaling: { rope_type: "linear", factor: 4 }
  },
  gpt2: {
    architectures: ["GPT2LMHeadModel"],
    vocab_size: 23,
    n_positions: 128,
    n_embd: 12,
    n_layer: 2,
    n_head: 3,
    n_inner: 10,
    layer_norm_epsilon: 1e-5,
    scale_attn_by_inverse_layer_idx: true
  },
  gptNeox: {
    architectures: ["GPTNeoXForCausalLM"],
    ...llamaSizes,
    layer_norm_eps: 1e-5,
    num_attention_heads: 2,
    rotary_pct: 0.7
  },
  gptNeoxSequential: {
    architectures: ["GPTNeoXForCausalLM"],
    ...llamaSizes,
    layer_norm_eps: 1e-5,
    num_attention_heads: 2,
    rotary_pct: 0.7,
    hidden_act: "gelu_fast",
    attention_bias: false,
    use_parallel_residual: false,
    tie_word_embeddings: true
  },
  mistral: { architectures: ["MistralForCausalLM"], ...llamaSizes, num_key_value_heads: 1, sliding_window: 4 },
  phi3: { architectures: ["Phi3ForCausalLM"], ...llamaSizes, sliding_window: 7, partial_rotary_factor: 0.7 },
  qwen2: {
    architectures: ["Qwen2ForCausalLM"],
    ...llamaSizes,
    tie_word_embeddings: true,
    use_sliding_window: true,
    sliding_window: 3,
    max_window_layers: 1
  },
  qwen3: { architectures: ["Qwen3ForCausalLM"], ...llamaSizes, attention_bias: true }
}

/** A small Llama with random weights: grouped queries, 2 layers. */
export const tinyLlama = (seed: number, config: Readonly<Record<string, unknown>> = {}): ModelState =>
  randomModel(seed, {
    architectures: ["LlamaForCausalLM"],
    ...llamaSizes,
    max_position_embeddings: 64,
    tie_word_embeddings: true,
    ...config
  })

/** Random weights for a config, those of norms near what multiplies by 1. */
export const randomModel = (seed: number, full: Readonly<Record<string, unknown>>): ModelState => {
  const next = random(seed)
  const { tensors } = Result.getOrThrow(architecture(full))
  const offset = String(full["architectures"]).startsWith("Gemma") ? 0 : 1
  const values = tensors.flatMap(({ name, shape }) => {
    const middle = name.endsWith(".bias") ? 0 : offset
    return Array.from(
      { length: shape.reduce((a, b) => a * b, 1) },
      () => shape.length === 1 ? middle + 0.3 * (next() - 0.5) : next() - 0.5
    )
  })
  return {
    config: full,
    names: tensors.map(({ name }) => name),
    shapes: tensors.map(({ shape }) => shape),
    parameters: Float64Array.from(values)
  }
}

/** The forward graph of a model. */
export const forwardOf = (model: ModelState) => Result.getOrThrow(architecture(model.config)).forward()
