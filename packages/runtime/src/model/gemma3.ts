// Gemma3ForCausalLM, the text models: normed queries and keys, five layers that slide to one that does not, rotary angles of
// their own for each. https://arxiv.org/abs/2503.19786
// Leaves out Gemma3ForConditionalGeneration, which also sees images.
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { family } from "./Family.ts"
import { only, Positive, Size } from "./fields.ts"
import { gemma, gemmaFields, gemmaOf } from "./gemma.ts"
import { type RopeConfig, ropeFields, ropeOf, Scaling } from "./rope.ts"
import { windowsOf } from "./windows.ts"

const Kinds = Schema.Struct({
  full_attention: Schema.optionalKey(Schema.NullOr(Scaling)),
  sliding_attention: Schema.optionalKey(Schema.NullOr(Scaling))
})

export const gemma3 = family("Gemma3ForCausalLM", {
  schema: Schema.Struct({
    ...gemmaFields,
    ...ropeFields,
    /** Since transformers 5; before, `rope_theta` and `rope_scaling` are the full layers', `rope_local_base_freq` the others'. */
    rope_parameters: Schema.optionalKey(Schema.NullOr(Kinds)),
    rope_local_base_freq: Schema.optionalKey(Positive),
    /** Every so many layers one does not slide. */
    sliding_window_pattern: Schema.optionalKey(Size)
  }),
  read: (json) =>
    Result.gen(function*() {
      // transformers reads it and does nothing with it.
      yield* only(json, { attn_logit_softcapping: ["null"] })
      const { rope_local_base_freq, rope_parameters: kinds, rope_scaling, rope_theta, sliding_window_pattern = 6 } =
        json
      const windows = yield* windowsOf(
        { sliding_window: 4096, ...json },
        (layer) => (layer + 1) % sliding_window_pattern !== 0
      )
      const of = (config: Omit<RopeConfig, "max_position_embeddings">, theta: number) =>
        ropeOf({ max_position_embeddings: json.max_position_embeddings, ...config }, json.head_dim, {
          theta,
          share: 1,
          partial: false
        })
      const full = yield* of({ rope_scaling: kinds?.full_attention ?? rope_scaling ?? null }, rope_theta ?? 1e6)
      const sliding = yield* of({ rope_scaling: kinds?.sliding_attention ?? null }, rope_local_base_freq ?? 1e4)
      return yield* gemmaOf(json, {
        headNorms: true,
        windows,
        ropes: windows.map((window) => window === undefined ? full : sliding),
        scoreCap: undefined,
        logitCap: json.final_logit_softcapping ?? undefined
      })
    }),
  ...gemma
})
