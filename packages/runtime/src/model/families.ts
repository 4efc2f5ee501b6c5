// Which architectures run, by the name in config.json. A new family is one file and one line here.
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { ModelState } from "../compute/Engine.ts"
import { type Architecture, type ConfigProblem, type Family, firstProblem, type Forward } from "./Family.ts"
import { refuse } from "./fields.ts"
import { gemma2 } from "./gemma2.ts"
import { gemma3 } from "./gemma3.ts"
import { gpt2 } from "./gpt2.ts"
import { gptNeox } from "./gptNeox.ts"
import { llama } from "./llama.ts"
import { mistral } from "./mistral.ts"
import { phi3 } from "./phi3.ts"
import { qwen2 } from "./qwen2.ts"
import { qwen3 } from "./qwen3.ts"

export const families: Readonly<Record<string, Family>> = {
  GPT2LMHeadModel: gpt2,
  GPTNeoXForCausalLM: gptNeox,
  Gemma2ForCausalLM: gemma2,
  Gemma3ForCausalLM: gemma3,
  LlamaForCausalLM: llama,
  MistralForCausalLM: mistral,
  Phi3ForCausalLM: phi3,
  Qwen2ForCausalLM: qwen2,
  Qwen3ForCausalLM: qwen3
}

const Named = Schema.Struct({
  architectures: Schema.NonEmptyArray(Schema.String),
  quantization_config: Schema.optionalKey(Schema.Unknown)
})
const decode = Schema.decodeUnknownResult(Named)

/** What a parsed config.json describes. */
export const architecture = (config: unknown): Result.Result<Architecture, ConfigProblem> =>
  decode(config).pipe(
    Result.mapError((error) => firstProblem(error.issue)),
    Result.flatMap(({ architectures: [name], quantization_config: quantised }) => {
      const found = Object.hasOwn(families, name) ? families[name] : undefined
      if (found !== undefined && quantised) {
        return refuse(
          "quantization_config",
          "says that the weights are quantised; take the model in bfloat16 or float32"
        )
      }
      if (found !== undefined) return found.architecture(config)
      const known = Object.keys(families).join(", ")
      return Result.fail({ field: "architectures", problem: `names "${name}"; supported are ${known}` })
    })
  )

/** The same inside an engine, which is given only configs that loaded: what does not describe a model throws. */
export const loadedArchitecture = (config: unknown): Architecture => {
  const described = architecture(config)
  if (Result.isSuccess(described)) return described.success
  throw new Error(`config: "${described.failure.field}" ${described.failure.problem}`)
}

/** The graph of a model's state, in an engine: with its adapters, and which of its weights are trained. */
export const forwardOf = ({ adapter, config, frozen, names }: Omit<ModelState, "parameters" | "shapes">): Forward => {
  const forward = loadedArchitecture(config).forward(adapter)
  const trained = new Set(names.slice(frozen))
  return { ...forward, trained: forward.weights.filter(({ name }) => trained.has(name)) }
}
