// LlamaForCausalLM, Llama 1 to 3.x.
import * as Schema from "effect/Schema"
import { family } from "./Family.ts"
import { transformer, transformerFields, transformerOf } from "./transformer.ts"

export const llama = family("LlamaForCausalLM", {
  schema: Schema.Struct({
    ...transformerFields,
    attention_bias: Schema.optionalKey(Schema.Boolean),
    mlp_bias: Schema.optionalKey(Schema.Boolean)
  }),
  read: ({ attention_bias: attention = false, mlp_bias: mlp = false, ...json }) =>
    transformerOf(json, { biases: { qkv: attention, output: attention, mlp } }),
  ...transformer
})
