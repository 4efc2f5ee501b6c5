// LlamaForCausalLM: rmsNorm before each half of a block, rotary positions on whole heads, grouped-query attention, gated silu.
// Leaves out attention and MLP biases, which no published checkpoint of this name has: a config that asks for them is refused.
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { builder, type Value } from "../compute/Graph.ts"
import { type ConfigProblem, family, type Forward, type TensorSpec } from "./Family.ts"
import { ropeFields, ropeFrequencies } from "./rope.ts"

const Size = Schema.Int.check(Schema.isGreaterThan(0))

const Json = Schema.Struct({
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
  rms_norm_eps: Schema.Finite.check(Schema.isGreaterThan(0)),
  hidden_act: Schema.optionalKey(Schema.String),
  tie_word_embeddings: Schema.optionalKey(Schema.Boolean),
  attention_bias: Schema.optionalKey(Schema.Boolean),
  mlp_bias: Schema.optionalKey(Schema.Boolean),
  attention_dropout: Schema.optionalKey(Schema.Finite),
  ...ropeFields
})

interface Llama {
  readonly vocabulary: number
  readonly width: number
  readonly inner: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly maxPositions: number
  readonly epsilon: number
  readonly frequencies: ReadonlyArray<number>
  readonly tied: boolean
  readonly dropout: number
}

const read = (json: typeof Json.Type): Result.Result<Llama, ConfigProblem> => {
  const heads = json.num_attention_heads
  const kvHeads = json.num_key_value_heads ?? heads
  const headDim = json.head_dim ?? json.hidden_size / heads
  const act = json.hidden_act ?? "silu"
  const problem = (field: string, text: string) => Result.fail({ field, problem: text })
  if (act !== "silu") return problem("hidden_act", `is "${act}"; supported is silu`)
  if (json.attention_bias === true) return problem("attention_bias", "is true, which is not supported")
  if (json.mlp_bias === true) return problem("mlp_bias", "is true, which is not supported")
  if (heads % kvHeads !== 0) {
    return problem("num_key_value_heads", `is ${kvHeads}, which does not divide ${heads} heads`)
  }
  if (!Number.isInteger(headDim / 2)) {
    return problem("head_dim", `is ${headDim}; rotary positions need an even whole number`)
  }
  return Result.map(ropeFrequencies(json, headDim), (frequencies) => ({
    vocabulary: json.vocab_size,
    width: json.hidden_size,
    inner: json.intermediate_size,
    layers: json.num_hidden_layers,
    heads,
    kvHeads,
    headDim,
    maxPositions: json.max_position_embeddings,
    epsilon: json.rms_norm_eps,
    frequencies,
    tied: json.tie_word_embeddings ?? false,
    dropout: json.attention_dropout ?? 0
  }))
}

const tensors = (c: Llama): ReadonlyArray<TensorSpec> => {
  const q = c.heads * c.headDim
  const kv = c.kvHeads * c.headDim
  const specs: Array<readonly [string, ReadonlyArray<number>]> = [["model.embed_tokens.weight", [
    c.vocabulary,
    c.width
  ]]]
  for (let layer = 0; layer < c.layers; layer++) {
    const at = `model.layers.${layer}.`
    specs.push(
      [`${at}input_layernorm.weight`, [c.width]],
      [`${at}self_attn.q_proj.weight`, [q, c.width]],
      [`${at}self_attn.k_proj.weight`, [kv, c.width]],
      [`${at}self_attn.v_proj.weight`, [kv, c.width]],
      [`${at}self_attn.o_proj.weight`, [c.width, q]],
      [`${at}post_attention_layernorm.weight`, [c.width]],
      [`${at}mlp.gate_proj.weight`, [c.inner, c.width]],
      [`${at}mlp.up_proj.weight`, [c.inner, c.width]],
      [`${at}mlp.down_proj.weight`, [c.width, c.inner]]
    )
  }
  specs.push(["model.norm.weight", [c.width]])
  if (!c.tied) specs.push(["lm_head.weight", [c.vocabulary, c.width]])
  return specs.map(([name, shape]) => ({ name, shape }))
}

const forward = (c: Llama): Forward => {
  const g = builder()
  const weights = tensors(c).map(({ name, shape }) => g.weight(name, shape))
  const byName = new Map(weights.map((weight) => [weight.name, weight]))
  const w = (name: string): Value => byName.get(`${name}.weight`)!
  const linear = (x: Value, name: string, accumulator?: Value) =>
    g.emit("mm", { a: x, b: w(name), accumulator }, { transA: false, transB: true }).y
  const norm = (x: Value, name: string) => g.emit("rmsNorm", { x, weight: w(name) }, { epsilon: c.epsilon }).y
  const positions = g.batch("positions")
  const segments = g.batch("segments")
  const tables = g.tables(c.frequencies)
  const { headDim, heads, kvHeads } = c
  const rope = (x: Value) =>
    g.emit("rope", { x, positions, ...tables }, { headDim, dims: headDim, style: "half", inverse: false }).y

  let x = g.emit("embedding", { table: w("model.embed_tokens"), ids: g.batch("tokens") }, {}).y
  for (let layer = 0; layer < c.layers; layer++) {
    const at = `model.layers.${layer}.`
    const h = norm(x, `${at}input_layernorm`)
    const q = rope(linear(h, `${at}self_attn.q_proj`))
    const k = rope(linear(h, `${at}self_attn.k_proj`))
    const v = linear(h, `${at}self_attn.v_proj`)
    const attended = g.emit("attention", { q, k, v, segments }, { heads, kvHeads, headDim, scale: headDim ** -0.5 }).y
    x = linear(attended, `${at}self_attn.o_proj`, x)
    const m = norm(x, `${at}post_attention_layernorm`)
    const gate = linear(m, `${at}mlp.gate_proj`)
    const up = linear(m, `${at}mlp.up_proj`)
    x = linear(g.emit("swiglu", { gate, up }, {}).y, `${at}mlp.down_proj`, x)
  }
  const last = norm(g.emit("gatherRows", { x, rows: g.batch("rows") }, {}).y, "model.norm")
  const { logProb } = g.emit("tokenLogProb", {
    hidden: last,
    head: c.tied ? w("model.embed_tokens") : w("lm_head"),
    predictor: g.batch("predictor"),
    targets: g.batch("targets")
  }, {})
  return { graph: g.finish([logProb]), logProb, weights }
}

export const llama = family("LlamaForCausalLM", {
  schema: Json,
  read,
  tensors,
  forward,
  about: (c) => ({
    vocabulary: c.vocabulary,
    maxPositions: c.maxPositions,
    unused: (tensor) => tensor.endsWith(".rotary_emb.inv_freq") || (c.tied && tensor === "lm_head.weight"),
    ignored: c.dropout > 0 ? [`attention_dropout ${c.dropout}`] : []
  })
})
