// Adapters as PEFT keeps them: adapter_config.json and adapter_model.safetensors, without the weights they stand beside.
import { type BadFile, BadModel } from "@penchant/dsl/Errors"
import * as Result from "effect/Result"
import type { ModelState } from "../compute/Engine.ts"
import { placesOf } from "../compute/places.ts"
import { decodeSafetensors, encodeSafetensors } from "../data/safetensors.ts"
import { loadedArchitecture } from "./families.ts"
import { adapterFiles } from "./files.ts"
import { adapts, isAdapter } from "./lora.ts"

/** What PEFT puts before the names of the model's own tensors. */
const prefix = "base_model.model."

const adapterPlaces = (model: ModelState) => placesOf(model).filter(({ name }) => isAdapter(name))

/** Both files of a model that has adapters. */
export const peftFiles = (model: ModelState): Readonly<Record<string, Uint8Array>> => {
  const { adapter, config, parameters } = model
  if (adapter === undefined) throw new Error("the model has no adapters")
  const layers = loadedArchitecture(config).forward().layers.filter(({ name }) => adapts(adapter, name))
  const lasts = [...new Set(layers.map(({ name }) => name.split(".").at(-1)!))]
  const settings = {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: null,
    r: adapter.rank,
    lora_alpha: adapter.alpha,
    lora_dropout: 0,
    target_modules: adapter.targets === "all-linear" ? lasts : adapter.targets,
    fan_in_fan_out: layers.some(({ stored }) => stored === "[in, out]"),
    bias: "none",
    use_rslora: false,
    modules_to_save: null,
    init_lora_weights: true,
    inference_mode: true
  }
  const tensors = Object.fromEntries(
    adapterPlaces(model).map(({ from, name, shape, size }) => [
      prefix + name,
      { dtype: "F32", shape, data: Float32Array.from(parameters.subarray(from, from + size)) } as const
    ])
  )
  return {
    [adapterFiles.config]: new TextEncoder().encode(`${JSON.stringify(settings, null, 2)}\n`),
    [adapterFiles.weights]: encodeSafetensors(tensors, { format: "pt" })
  }
}

/** The model with the adapters of such a file; `file` is for messages. */
export const withAdapters = (
  model: ModelState,
  bytes: Uint8Array,
  file: string
): Result.Result<ModelState, BadFile | BadModel> =>
  Result.gen(function*() {
    const { tensors } = yield* decodeSafetensors(bytes, file)
    const parameters = model.parameters.slice()
    for (const { from, name, shape } of adapterPlaces(model)) {
      const part = prefix + name
      const tensor = tensors[part]
      if (tensor === undefined) return yield* Result.fail(new BadModel({ file, part, problem: "is missing" }))
      if (tensor.dtype !== "F32" || String(tensor.shape) !== String(shape)) {
        const problem = `is ${tensor.dtype} [${tensor.shape}]; the recipe says F32 [${shape}]`
        return yield* Result.fail(new BadModel({ file, part, problem }))
      }
      parameters.set(tensor.data, from)
    }
    return { ...model, parameters }
  })
