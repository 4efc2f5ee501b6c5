// MistralForCausalLM: a Llama whose attention may slide, in every layer alike. https://arxiv.org/abs/2310.06825
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { family } from "./Family.ts"
import { transformer, transformerFields, transformerOf } from "./transformer.ts"
import { everyLayer, windowFields } from "./windows.ts"

export const mistral = family("MistralForCausalLM", {
  schema: Schema.Struct({ ...transformerFields, ...windowFields }),
  read: (json) =>
    Result.flatMap(everyLayer({ sliding_window: 4096, ...json }), (windows) => transformerOf(json, { windows })),
  ...transformer
})
