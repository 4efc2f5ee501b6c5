// The decoder that Llama, Mistral, Qwen and Phi-3 are: rmsNorm before each half of a block, rotary positions, grouped-query
// attention, gated silu. Leaves out how their configs say what they are: each family's file does.
import type { Lora } from "@penchant/dsl/Recipe"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Value } from "../compute/Graph.ts"
import type { Architecture, ConfigProblem, Forward, TensorSpec } from "./Family.ts"
import { dropouts, only, Positive, refuse, Size } from "./fields.ts"
import { affine, network, specs } from "./network.ts"
import { type Rope, type RopeDefaults, ropeFields, ropeOf } from "./rope.ts"

export const transformerFields = {
  vocab_size: Size,
  hidden_size: Size,
  intermediate_size: Size,
  num_hidden_layers: Size,
  num_attention_heads: Size,
  /** As many as query heads when absent. */
  num_key_value_heads: Schema.optionalKey(Schema.NullOr(Size)),
  /** hidden_size / num_attention_heads when absent. */
  head_dim: Schema.optionalKey(Schema.NullOr(Size)),
  max_position_embeddings: Size,
  rms_norm_eps: Positive,
  hidden_act: Schema.optionalKey(Schema.String),
  tie_word_embeddings: Schema.optionalKey(Schema.Boolean),
  attention_dropout: Schema.optionalKey(Schema.Finite),
  ...ropeFields
}
const Fields = Schema.Struct(transformerFields)

/** Where families differ. */
interface Traits {
  /** Biases of the query, key and value projections, of the attention's output, and of the gated layers. */
  readonly biases: { readonly qkv: boolean; readonly output: boolean; readonly mlp: boolean }
  /** Queries and keys are normed head by head before they turn. */
  readonly headNorms: boolean
  /** Query, key and value projections are one tensor, and so are gate and up. */
  readonly fused: boolean
  /** Positions that each layer's queries see, their own included; all before them when undefined. */
  readonly windows: ReadonlyArray<number | undefined>
}

export interface Transformer extends Traits {
  readonly vocabulary: number
  readonly width: number
  readonly inner: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly maxPositions: number
  readonly epsilon: number
  readonly rope: Rope
  readonly tied: boolean
  readonly ignored: ReadonlyArray<string>
}

const plain: Traits = {
  biases: { qkv: false, output: false, mlp: false },
  headNorms: false,
  fused: false,
  windows: []
}

export const transformerOf = (
  json: typeof Fields.Type,
  { rope: ropeDefaults, ...traits }: Partial<Traits> & { readonly rope?: RopeDefaults } = {}
): Result.Result<Transformer, ConfigProblem> =>
  Result.gen(function*() {
    const heads = json.num_attention_heads
    const kvHeads = json.num_key_value_heads ?? heads
    const headDim = json.head_dim ?? json.hidden_size / heads
    yield* only(json, { hidden_act: ["silu"] })
    if (heads % kvHeads !== 0) {
      return yield* refuse("num_key_value_heads", `is ${kvHeads}, which does not divide ${heads} heads`)
    }
    const rope = yield* ropeOf(json, headDim, ropeDefaults)
    return {
      ...plain,
      ...traits,
      vocabulary: json.vocab_size,
      width: json.hidden_size,
      inner: json.intermediate_size,
      layers: json.num_hidden_layers,
      heads,
      kvHeads,
      headDim,
      maxPositions: rope.maxPositions,
      epsilon: json.rms_norm_eps,
      rope,
      tied: json.tie_word_embeddings ?? false,
      ignored: dropouts(json, "attention_dropout", "resid_pdrop", "embd_pdrop")
    }
  })

const tensors = (c: Transformer): ReadonlyArray<TensorSpec> => {
  const q = c.heads * c.headDim
  const kv = c.kvHeads * c.headDim
  const linear = (name: string, out: number, from: number, biased: boolean) =>
    affine(name, [out, from], biased ? out : undefined)
  return specs([
    ["model.embed_tokens.weight", [c.vocabulary, c.width]],
    ...Array.from({ length: c.layers }, (_, layer) => {
      const at = `model.layers.${layer}.`
      const attention = `${at}self_attn.`
      return [
        [`${at}input_layernorm.weight`, [c.width]] as const,
        ...(c.fused
          ? linear(`${attention}qkv_proj`, q + 2 * kv, c.width, c.biases.qkv)
          : [
            ...linear(`${attention}q_proj`, q, c.width, c.biases.qkv),
            ...linear(`${attention}k_proj`, kv, c.width, c.biases.qkv),
            ...linear(`${attention}v_proj`, kv, c.width, c.biases.qkv)
          ]),
        ...(c.headNorms
          ? [[`${attention}q_norm.weight`, [c.headDim]], [`${attention}k_norm.weight`, [c.headDim]]] as const
          : []),
        ...linear(`${attention}o_proj`, c.width, q, c.biases.output),
        [`${at}post_attention_layernorm.weight`, [c.width]] as const,
        ...(c.fused
          ? linear(`${at}mlp.gate_up_proj`, 2 * c.inner, c.width, c.biases.mlp)
          : [
            ...linear(`${at}mlp.gate_proj`, c.inner, c.width, c.biases.mlp),
            ...linear(`${at}mlp.up_proj`, c.inner, c.width, c.biases.mlp)
          ]),
        ...linear(`${at}mlp.down_proj`, c.width, c.inner, c.biases.mlp)
      ]
    }).flat(),
    ["model.norm.weight", [c.width]],
    ...(c.tied ? [] : [["lm_head.weight", [c.vocabulary, c.width]] as const])
  ])
}

const forward = (c: Transformer, adapter?: Lora): Forward => {
  const { embedding, g, head, linear, predicting, rotated, w } = network(tensors(c), adapter)
  const { headDim, heads, kvHeads } = c
  const norm = (x: Value, name: string) =>
    g.emit("rmsNorm", { x, weight: w(`${name}.weight`) }, { epsilon: c.epsilon }).y
  const normed = (x: Value, name: string) => c.headNorms ? norm(x, name) : x
  /** The projections that are one after another in a tensor when fused. */
  const projections = (x: Value, fused: string, parts: ReadonlyArray<readonly [string, number]>) => {
    if (!c.fused) return parts.map(([name]) => linear(x, name))
    const all = linear(x, fused)
    const period = parts.reduce((sum, [, size]) => sum + size, 0)
    let from = 0
    return parts.map(([, size]) => g.emit("columns", { x: all }, { period, from, to: from += size }).y)
  }

  let x = embedding("model.embed_tokens", g.batch("tokens"))
  for (let layer = 0; layer < c.layers; layer++) {
    const at = `model.layers.${layer}.`
    const attention = `${at}self_attn.`
    const [q, k, v] = projections(norm(x, `${at}input_layernorm`), `${attention}qkv_proj`, [
      [`${attention}q_proj`, heads * headDim],
      [`${attention}k_proj`, kvHeads * headDim],
      [`${attention}v_proj`, kvHeads * headDim]
    ]) as [Value, Value, Value]
    const attended = g.emit("attention", {
      q: rotated(normed(q, `${attention}q_norm`), c.rope, headDim),
      k: rotated(normed(k, `${attention}k_norm`), c.rope, headDim),
      v,
      segments: g.batch("segments")
    }, { heads, kvHeads, headDim, scale: headDim ** -0.5, window: c.windows[layer] }).y
    x = linear(attended, `${attention}o_proj`, x)
    const [gate, up] = projections(norm(x, `${at}post_attention_layernorm`), `${at}mlp.gate_up_proj`, [
      [`${at}mlp.gate_proj`, c.inner],
      [`${at}mlp.up_proj`, c.inner]
    ]) as [Value, Value]
    x = linear(g.emit("swiglu", { gate, up }, {}).y, `${at}mlp.down_proj`, x)
  }
  return head(norm(predicting(x), "model.norm"), c.tied ? "model.embed_tokens" : "lm_head")
}

const about = (c: Transformer): Omit<Architecture, "name" | "tensors" | "forward"> => ({
  vocabulary: c.vocabulary,
  maxPositions: c.maxPositions,
  positions: "rotary",
  prefix: "model.",
  unused: (tensor) => tensor.endsWith(".rotary_emb.inv_freq") || (c.tied && tensor === "lm_head.weight"),
  ignored: c.ignored
})

/** The parts of such a family, beside its name and config. */
export const transformer = { tensors, forward, about }
