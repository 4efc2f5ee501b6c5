// The files that make up a model's folder, by name.
import { tokenizerFiles } from "./save.ts"

/** What PEFT keeps an adapter in. */
export const adapterFiles = { config: "adapter_config.json", weights: "adapter_model.safetensors" } as const

/** Weights, one file or shards with their index. */
export const isWeights = (name: string): boolean => /^model(-\d+-of-\d+)?\.safetensors(\.index\.json)?$/.test(name)

/** What is read, kept and locked of a folder; everything else in it is left alone. */
export const isModelFile = (name: string): boolean =>
  name === "config.json" || isWeights(name) || tokenizerFiles.includes(name)
