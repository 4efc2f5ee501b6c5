// GPT2LMHeadModel: learned positions, layer norms with biases, one tensor for queries, keys and values, linear layers stored
// [in, out]. https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf
import type { Lora } from "@penchant/dsl/Recipe"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Value } from "../compute/Graph.ts"
import { type ConfigProblem, family, type Forward, type TensorSpec } from "./Family.ts"
import { dropouts, geluOf, only, Positive, refuse, Size } from "./fields.ts"
import { affine, network, specs } from "./network.ts"

const Json = Schema.Struct({
  vocab_size: Size,
  n_positions: Size,
  n_embd: Size,
  n_layer: Size,
  n_head: Size,
  /** 4 n_embd when null. */
  n_inner: Schema.optionalKey(Schema.NullOr(Size)),
  activation_function: Schema.optionalKey(Schema.String),
  layer_norm_epsilon: Positive,
  scale_attn_weights: Schema.optionalKey(Schema.Boolean),
  scale_attn_by_inverse_layer_idx: Schema.optionalKey(Schema.Boolean),
  add_cross_attention: Schema.optionalKey(Schema.Boolean),
  tie_word_embeddings: Schema.optionalKey(Schema.Boolean),
  resid_pdrop: Schema.optionalKey(Schema.Finite),
  embd_pdrop: Schema.optionalKey(Schema.Finite),
  attn_pdrop: Schema.optionalKey(Schema.Finite)
})

interface Gpt2 {
  readonly vocabulary: number
  readonly width: number
  readonly inner: number
  readonly layers: number
  readonly heads: number
  readonly maxPositions: number
  readonly epsilon: number
  readonly approximation: "none" | "tanh"
  /** Factor on q · k, by layer. */
  readonly scales: ReadonlyArray<number>
  readonly tied: boolean
  readonly ignored: ReadonlyArray<string>
}

const read = (json: typeof Json.Type): Result.Result<Gpt2, ConfigProblem> =>
  Result.gen(function*() {
    yield* only(json, { add_cross_attention: [false] })
    const approximation = yield* geluOf("activation_function", json.activation_function ?? "gelu_new")
    const { n_embd: width, n_head: heads, n_layer: layers } = json
    if (width % heads !== 0) return yield* refuse("n_head", `is ${heads}, which does not divide n_embd ${width}`)
    const scale = json.scale_attn_weights ?? true ? (width / heads) ** -0.5 : 1
    return {
      vocabulary: json.vocab_size,
      width,
      inner: json.n_inner ?? 4 * width,
      layers,
      heads,
      maxPositions: json.n_positions,
      epsilon: json.layer_norm_epsilon,
      approximation,
      scales: Array.from(
        { length: layers },
        (_, layer) => json.scale_attn_by_inverse_layer_idx ?? false ? scale / (layer + 1) : scale
      ),
      tied: json.tie_word_embeddings ?? true,
      ignored: dropouts(json, "resid_pdrop", "embd_pdrop", "attn_pdrop")
    }
  })

const tensors = (c: Gpt2): ReadonlyArray<TensorSpec> => {
  const norm = (name: string) => affine(name, [c.width], c.width)
  const linear = (name: string, from: number, to: number) => affine(name, [from, to], to)
  return specs([
    ["transformer.wte.weight", [c.vocabulary, c.width]],
    ["transformer.wpe.weight", [c.maxPositions, c.width]],
    ...Array.from({ length: c.layers }, (_, layer) => {
      const at = `transformer.h.${layer}.`
      return [
        ...norm(`${at}ln_1`),
        ...linear(`${at}attn.c_attn`, c.width, 3 * c.width),
        ...linear(`${at}attn.c_proj`, c.width, c.width),
        ...norm(`${at}ln_2`),
        ...linear(`${at}mlp.c_fc`, c.width, c.inner),
        ...linear(`${at}mlp.c_proj`, c.inner, c.width)
      ]
    }).flat(),
    ...norm("transformer.ln_f"),
    ...(c.tied ? [] : [["lm_head.weight", [c.vocabulary, c.width]] as const])
  ])
}

const forward = (c: Gpt2, adapter?: Lora): Forward => {
  const { embedding, g, head, layerNorm, linear, predicting } = network(tensors(c), adapter)
  const conv = (x: Value, name: string, accumulator?: Value) => linear(x, name, accumulator, "[in, out]")
  const norm = (x: Value, name: string) => layerNorm(x, name, c.epsilon)
  const part = (x: Value, i: number) =>
    g.emit("columns", { x }, { period: 3 * c.width, from: i * c.width, to: (i + 1) * c.width }).y
  const attributes = { heads: c.heads, kvHeads: c.heads, headDim: c.width / c.heads }

  const tokens = embedding("transformer.wte", g.batch("tokens"))
  let x = g.emit("add", { a: tokens, b: embedding("transformer.wpe", g.batch("positions")) }, {}).y
  c.scales.forEach((scale, layer) => {
    const at = `transformer.h.${layer}.`
    const all = conv(norm(x, `${at}ln_1`), `${at}attn.c_attn`)
    const [q, k, v] = [part(all, 0), part(all, 1), part(all, 2)]
    const attended = g.emit("attention", { q, k, v, segments: g.batch("segments") }, { ...attributes, scale }).y
    x = conv(attended, `${at}attn.c_proj`, x)
    const inner = conv(norm(x, `${at}ln_2`), `${at}mlp.c_fc`)
    x = conv(g.emit("gelu", { x: inner }, { approximation: c.approximation }).y, `${at}mlp.c_proj`, x)
  })
  return head(norm(predicting(x), "transformer.ln_f"), c.tied ? "transformer.wte" : "lm_head")
}

export const gpt2 = family("GPT2LMHeadModel", {
  schema: Json,
  read,
  tensors,
  forward,
  about: (c) => ({
    vocabulary: c.vocabulary,
    maxPositions: c.maxPositions,
    positions: "learned",
    prefix: "transformer.",
    // Causal masks, in older files.
    unused: (tensor) => /\.attn\.(masked_)?bias$/.test(tensor) || (c.tied && tensor === "lm_head.weight"),
    ignored: c.ignored
  })
})
