// The decoder that Gemma 2 and 3 are: norms before and after each half of a block, which multiply by 1 + weight; scaled
// embeddings; gated gelu; layers that slide and layers that look back all the way, each kind with rotary angles of its own.
// Leaves out how their configs say what they are: each family's file does.
import type { Lora } from "@penchant/dsl/Recipe"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Value } from "../compute/Graph.ts"
import type { Architecture, ConfigProblem, Forward, TensorSpec } from "./Family.ts"
import { dropouts, geluOf, only, Positive, refuse, Size } from "./fields.ts"
import { network, specs } from "./network.ts"
import type { Rope } from "./rope.ts"
import { windowFields } from "./windows.ts"

export const gemmaFields = {
  vocab_size: Size,
  hidden_size: Size,
  intermediate_size: Size,
  num_hidden_layers: Size,
  num_attention_heads: Size,
  num_key_value_heads: Size,
  head_dim: Size,
  max_position_embeddings: Size,
  rms_norm_eps: Positive,
  hidden_activation: Schema.optionalKey(Schema.NullOr(Schema.String)),
  /** Scores are divided by its root. */
  query_pre_attn_scalar: Positive,
  attn_logit_softcapping: Schema.optionalKey(Schema.NullOr(Positive)),
  final_logit_softcapping: Schema.optionalKey(Schema.NullOr(Positive)),
  attention_bias: Schema.optionalKey(Schema.Boolean),
  use_bidirectional_attention: Schema.optionalKey(Schema.NullOr(Schema.Boolean)),
  tie_word_embeddings: Schema.optionalKey(Schema.Boolean),
  attention_dropout: Schema.optionalKey(Schema.Finite),
  ...windowFields
}
const Fields = Schema.Struct(gemmaFields)

/** Where the two differ. */
interface Traits {
  readonly headNorms: boolean
  readonly windows: ReadonlyArray<number | undefined>
  /** By layer. */
  readonly ropes: ReadonlyArray<Rope>
  readonly scoreCap: number | undefined
  readonly logitCap: number | undefined
}

export interface Gemma extends Traits {
  readonly vocabulary: number
  readonly width: number
  readonly inner: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly maxPositions: number
  readonly epsilon: number
  readonly approximation: "none" | "tanh"
  readonly scale: number
  readonly tied: boolean
  readonly ignored: ReadonlyArray<string>
}

export const gemmaOf = (json: typeof Fields.Type, traits: Traits): Result.Result<Gemma, ConfigProblem> =>
  Result.gen(function*() {
    yield* only(json, { attention_bias: [false], use_bidirectional_attention: [false] })
    const { head_dim: headDim, num_attention_heads: heads, num_key_value_heads: kvHeads } = json
    if (heads % kvHeads !== 0) {
      return yield* refuse("num_key_value_heads", `is ${kvHeads}, which does not divide ${heads} heads`)
    }
    return {
      ...traits,
      vocabulary: json.vocab_size,
      width: json.hidden_size,
      inner: json.intermediate_size,
      layers: json.num_hidden_layers,
      heads,
      kvHeads,
      headDim,
      maxPositions: Math.min(...traits.ropes.map(({ maxPositions }) => maxPositions)),
      epsilon: json.rms_norm_eps,
      approximation: yield* geluOf("hidden_activation", json.hidden_activation ?? "gelu_pytorch_tanh"),
      scale: json.query_pre_attn_scalar ** -0.5,
      tied: json.tie_word_embeddings ?? true,
      ignored: dropouts(json, "attention_dropout")
    }
  })

const tensors = (c: Gemma): ReadonlyArray<TensorSpec> => {
  const q = c.heads * c.headDim
  const kv = c.kvHeads * c.headDim
  return specs([
    ["model.embed_tokens.weight", [c.vocabulary, c.width]],
    ...Array.from({ length: c.layers }, (_, layer) => {
      const at = `model.layers.${layer}.`
      const attention = `${at}self_attn.`
      return [
        [`${at}input_layernorm.weight`, [c.width]],
        [`${attention}q_proj.weight`, [q, c.width]],
        [`${attention}k_proj.weight`, [kv, c.width]],
        [`${attention}v_proj.weight`, [kv, c.width]],
        ...(c.headNorms
          ? [[`${attention}q_norm.weight`, [c.headDim]], [`${attention}k_norm.weight`, [c.headDim]]] as const
          : []),
        [`${attention}o_proj.weight`, [c.width, q]],
        [`${at}post_attention_layernorm.weight`, [c.width]],
        [`${at}pre_feedforward_layernorm.weight`, [c.width]],
        [`${at}mlp.gate_proj.weight`, [c.inner, c.width]],
        [`${at}mlp.up_proj.weight`, [c.inner, c.width]],
        [`${at}mlp.down_proj.weight`, [c.width, c.inner]],
        [`${at}post_feedforward_layernorm.weight`, [c.width]]
      ] as const
    }).flat(),
    ["model.norm.weight", [c.width]],
    ...(c.tied ? [] : [["lm_head.weight", [c.vocabulary, c.width]] as const])
  ])
}

const forward = (c: Gemma, adapter?: Lora): Forward => {
  const { embedding, g, head, linear, predicting, rotated, w } = network(tensors(c), adapter)
  const { headDim, heads, kvHeads } = c
  const norm = (x: Value, name: string) =>
    g.emit("rmsNorm", { x, weight: w(`${name}.weight`) }, { epsilon: c.epsilon, offset: 1 }).y
  const normed = (x: Value, name: string) => c.headNorms ? norm(x, name) : x

  let x = g.emit("scale", { x: embedding("model.embed_tokens", g.batch("tokens")) }, { factor: Math.sqrt(c.width) }).y
  c.ropes.forEach((rope, layer) => {
    const at = `model.layers.${layer}.`
    const attention = `${at}self_attn.`
    const h = norm(x, `${at}input_layernorm`)
    const attended = g.emit("attention", {
      q: rotated(normed(linear(h, `${attention}q_proj`), `${attention}q_norm`), rope, headDim),
      k: rotated(normed(linear(h, `${attention}k_proj`), `${attention}k_norm`), rope, headDim),
      v: linear(h, `${attention}v_proj`),
      segments: g.batch("segments")
    }, { heads, kvHeads, headDim, scale: c.scale, window: c.windows[layer], softCap: c.scoreCap }).y
    const first = norm(linear(attended, `${attention}o_proj`), `${at}post_attention_layernorm`)
    x = g.emit("add", { a: x, b: first }, {}).y
    const m = norm(x, `${at}pre_feedforward_layernorm`)
    const gate = g.emit("gelu", { x: linear(m, `${at}mlp.gate_proj`) }, { approximation: c.approximation }).y
    const inner = g.emit("multiply", { a: gate, b: linear(m, `${at}mlp.up_proj`) }, {}).y
    const second = norm(linear(inner, `${at}mlp.down_proj`), `${at}post_feedforward_layernorm`)
    x = g.emit("add", { a: x, b: second }, {}).y
  })
  return head(norm(predicting(x), "model.norm"), c.tied ? "model.embed_tokens" : "lm_head", c.logitCap)
}

const about = (c: Gemma): Omit<Architecture, "name" | "tensors" | "forward"> => ({
  vocabulary: c.vocabulary,
  maxPositions: c.maxPositions,
  positions: "rotary",
  prefix: "model.",
  unused: (tensor) => c.tied && tensor === "lm_head.weight",
  ignored: c.ignored
})

/** The parts of such a family, beside its name and config. */
export const gemma = { tensors, forward, about }
