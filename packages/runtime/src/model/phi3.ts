// Phi3ForCausalLM: a Llama with fused projections, attention that may slide, and heads of which a part may turn.
// https://arxiv.org/abs/2404.14219
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { family } from "./Family.ts"
import { transformer, transformerFields, transformerOf } from "./transformer.ts"
import { everyLayer, windowFields } from "./windows.ts"

/** Of types there is one, which older configs call otherwise. */
const rope = { theta: 10_000, share: 1, partial: true, aliases: { su: "longrope", yarn: "longrope" } }

export const phi3 = family("Phi3ForCausalLM", {
  schema: Schema.Struct({ ...transformerFields, ...windowFields }),
  read: (json) => Result.flatMap(everyLayer(json), (windows) => transformerOf(json, { fused: true, windows, rope })),
  ...transformer
})
