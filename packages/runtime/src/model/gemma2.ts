// Gemma2ForCausalLM: soft caps on scores and logits, every other layer slides. https://arxiv.org/abs/2408.00118
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { family } from "./Family.ts"
import { gemma, gemmaFields, gemmaOf } from "./gemma.ts"
import { ropeFields, ropeOf } from "./rope.ts"
import { windowsOf } from "./windows.ts"

export const gemma2 = family("Gemma2ForCausalLM", {
  schema: Schema.Struct({ ...gemmaFields, ...ropeFields }),
  read: (json) =>
    Result.gen(function*() {
      const { attn_logit_softcapping: scores = 50, final_logit_softcapping: logits = 30 } = json
      const windows = yield* windowsOf({ sliding_window: 4096, ...json }, (layer) => layer % 2 === 0)
      const rope = yield* ropeOf(json, json.head_dim)
      return yield* gemmaOf(json, {
        headNorms: false,
        windows,
        ropes: windows.map(() => rope),
        scoreCap: scores ?? undefined,
        logitCap: logits ?? undefined
      })
    }),
  ...gemma
})
