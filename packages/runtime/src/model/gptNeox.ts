// GPTNeoXForCausalLM, Pythia: layer norms with biases, attention and MLP side by side, rotary positions on a part of each
// head, one tensor for queries, keys and values, head by head. https://arxiv.org/abs/2204.06745
import type { Lora } from "@penchant/dsl/Recipe"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Value } from "../compute/Graph.ts"
import { type ConfigProblem, family, type Forward, type TensorSpec } from "./Family.ts"
import { dropouts, geluOf, Positive, refuse, Size } from "./fields.ts"
import { affine, network, specs } from "./network.ts"
import { type Rope, ropeFields, ropeOf } from "./rope.ts"

const Json = Schema.Struct({
  vocab_size: Size,
  hidden_size: Size,
  intermediate_size: Size,
  num_hidden_layers: Size,
  num_attention_heads: Size,
  max_position_embeddings: Size,
  layer_norm_eps: Positive,
  hidden_act: Schema.optionalKey(Schema.String),
  use_parallel_residual: Schema.optionalKey(Schema.Boolean),
  attention_bias: Schema.optionalKey(Schema.Boolean),
  tie_word_embeddings: Schema.optionalKey(Schema.Boolean),
  attention_dropout: Schema.optionalKey(Schema.Finite),
  hidden_dropout: Schema.optionalKey(Schema.Finite),
  ...ropeFields,
  /** The older names of `partial_rotary_factor` and `rope_theta`. */
  rotary_pct: Schema.optionalKey(Positive),
  rotary_emb_base: Schema.optionalKey(Positive)
})

interface GptNeox {
  readonly vocabulary: number
  readonly width: number
  readonly inner: number
  readonly layers: number
  readonly heads: number
  readonly maxPositions: number
  readonly epsilon: number
  readonly approximation: "none" | "tanh"
  readonly parallel: boolean
  readonly biased: boolean
  readonly rope: Rope
  readonly tied: boolean
  readonly ignored: ReadonlyArray<string>
}

const read = (json: typeof Json.Type): Result.Result<GptNeox, ConfigProblem> =>
  Result.gen(function*() {
    const { hidden_size: width, num_attention_heads: heads } = json
    if (width % heads !== 0) {
      return yield* refuse("num_attention_heads", `is ${heads}, which does not divide hidden_size ${width}`)
    }
    const theta = json.rotary_emb_base ?? 10_000
    const rope = yield* ropeOf(json, width / heads, { theta, share: json.rotary_pct ?? 0.25, partial: true })
    return {
      vocabulary: json.vocab_size,
      width,
      inner: json.intermediate_size,
      layers: json.num_hidden_layers,
      heads,
      maxPositions: rope.maxPositions,
      epsilon: json.layer_norm_eps,
      approximation: yield* geluOf("hidden_act", json.hidden_act ?? "gelu"),
      parallel: json.use_parallel_residual ?? true,
      biased: json.attention_bias ?? true,
      rope,
      tied: json.tie_word_embeddings ?? false,
      ignored: dropouts(json, "attention_dropout", "hidden_dropout")
    }
  })

const tensors = (c: GptNeox): ReadonlyArray<TensorSpec> => {
  const norm = (name: string) => affine(name, [c.width], c.width)
  const linear = (name: string, to: number, from: number, biased = true) =>
    affine(name, [to, from], biased ? to : undefined)
  return specs([
    ["gpt_neox.embed_in.weight", [c.vocabulary, c.width]],
    ...Array.from({ length: c.layers }, (_, layer) => {
      const at = `gpt_neox.layers.${layer}.`
      return [
        ...norm(`${at}input_layernorm`),
        ...norm(`${at}post_attention_layernorm`),
        ...linear(`${at}attention.query_key_value`, 3 * c.width, c.width, c.biased),
        ...linear(`${at}attention.dense`, c.width, c.width, c.biased),
        ...linear(`${at}mlp.dense_h_to_4h`, c.inner, c.width),
        ...linear(`${at}mlp.dense_4h_to_h`, c.width, c.inner)
      ]
    }).flat(),
    ...norm("gpt_neox.final_layer_norm"),
    ...(c.tied ? [] : [["embed_out.weight", [c.vocabulary, c.width]] as const])
  ])
}

const forward = (c: GptNeox, adapter?: Lora): Forward => {
  const { embedding, g, head, layerNorm, linear, predicting, rotated } = network(tensors(c), adapter)
  const headDim = c.width / c.heads
  const norm = (x: Value, name: string) => layerNorm(x, name, c.epsilon)
  const part = (x: Value, i: number) =>
    g.emit("columns", { x }, { period: 3 * headDim, from: i * headDim, to: (i + 1) * headDim }).y
  const turned = (x: Value) => rotated(x, c.rope, headDim)
  const attributes = { heads: c.heads, kvHeads: c.heads, headDim, scale: headDim ** -0.5 }

  let x = embedding("gpt_neox.embed_in", g.batch("tokens"))
  for (let layer = 0; layer < c.layers; layer++) {
    const at = `gpt_neox.layers.${layer}.`
    const all = linear(norm(x, `${at}input_layernorm`), `${at}attention.query_key_value`)
    const [q, k, v] = [turned(part(all, 0)), turned(part(all, 1)), part(all, 2)]
    const attended = g.emit("attention", { q, k, v, segments: g.batch("segments") }, attributes).y
    const after = linear(attended, `${at}attention.dense`, x)
    const inner = linear(norm(c.parallel ? x : after, `${at}post_attention_layernorm`), `${at}mlp.dense_h_to_4h`)
    x = linear(g.emit("gelu", { x: inner }, { approximation: c.approximation }).y, `${at}mlp.dense_4h_to_h`, after)
  }
  return head(norm(predicting(x), "gpt_neox.final_layer_norm"), c.tied ? "gpt_neox.embed_in" : "embed_out")
}

export const gptNeox = family("GPTNeoXForCausalLM", {
  schema: Json,
  read,
  tensors,
  forward,
  about: (c) => ({
    vocabulary: c.vocabulary,
    maxPositions: c.maxPositions,
    positions: "rotary",
    prefix: "gpt_neox.",
    // Causal masks and frequencies, in older files.
    unused: (tensor) =>
      /\.attention\.((masked_)?bias|rotary_emb\.inv_freq)$/.test(tensor) || (c.tied && tensor === "embed_out.weight"),
    ignored: c.ignored
  })
})
