// Qwen2ForCausalLM, Qwen 2 and 2.5: a Llama with biases on queries, keys and values. https://arxiv.org/abs/2407.10671
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { family } from "./Family.ts"
import { transformer, transformerFields, transformerOf } from "./transformer.ts"
import { qwenWindowFields, qwenWindowsOf } from "./windows.ts"

export const qwen2 = family("Qwen2ForCausalLM", {
  schema: Schema.Struct({ ...transformerFields, ...qwenWindowFields }),
  read: (json) =>
    Result.flatMap(
      qwenWindowsOf(json),
      (windows) => transformerOf(json, { biases: { qkv: true, output: false, mlp: false }, windows })
    ),
  ...transformer
})
