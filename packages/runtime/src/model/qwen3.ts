// Qwen3ForCausalLM: a Llama whose queries and keys are normed head by head. https://arxiv.org/abs/2505.09388
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { family } from "./Family.ts"
import { transformer, transformerFields, transformerOf } from "./transformer.ts"
import { qwenWindowFields, qwenWindowsOf } from "./windows.ts"

export const qwen3 = family("Qwen3ForCausalLM", {
  schema: Schema.Struct({
    ...transformerFields,
    ...qwenWindowFields,
    attention_bias: Schema.optionalKey(Schema.Boolean)
  }),
  read: ({ attention_bias: biased = false, ...json }) =>
    Result.flatMap(
      qwenWindowsOf(json),
      (windows) =>
        transformerOf(json, { biases: { qkv: biased, output: biased, mlp: false }, headNorms: true, windows })
    ),
  ...transformer
})
