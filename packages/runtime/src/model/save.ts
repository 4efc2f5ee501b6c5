// A model's state -> a Hugging Face folder, as transformers reads it: config.json, model.safetensors, the tokenizer's files.
// Leaves out shards: one file of float32, whatever its size.
import { StoreError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import { existsSync } from "node:fs"
import { copyFile, mkdir, rename, writeFile } from "node:fs/promises"
import * as path from "node:path"
import type { ModelState } from "../compute/Engine.ts"
import { encodeSafetensors, type Tensor } from "../data/safetensors.ts"
import { merged } from "./merged.ts"

/** Files beside the weights that belong to the tokenizer and to generation; those present are copied. */
export const tokenizerFiles: ReadonlyArray<string> = [
  "tokenizer.json",
  "tokenizer_config.json",
  "tokenizer.model",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "chat_template.jinja",
  "generation_config.json"
]

/** What JSON has had since 2023 and TypeScript does not declare. */
interface SourceText {
  readonly parse: (
    text: string,
    revive: (key: string, value: unknown, at: { readonly source: string }) => unknown
  ) => {}
  readonly rawJSON: (text: string) => unknown
}
const { parse, rawJSON } = JSON as unknown as SourceText

/** A config whose numbers are written as they were: transformers 5 refuses 3 where it wants the float 3.0. */
const spelled = (text: string): {} =>
  parse(text, (_, value, { source }) => typeof value === "number" ? rawJSON(source) : value)

/**
 * config.json and model.safetensors as bytes, adapters merged: equal models give equal bytes. `text` is the config as it was
 * read.
 */
export const modelFiles = (
  state: ModelState,
  text?: string
): { readonly "config.json": Uint8Array; readonly "model.safetensors": Uint8Array } => {
  const model = merged(state)
  const config = text === undefined ? model.config as {} : spelled(text)
  const dtype = "torch_dtype" in config ? { torch_dtype: "float32" } : { dtype: "float32" }
  const tensors: Record<string, Tensor> = {}
  let at = 0
  model.names.forEach((name, i) => {
    const shape = model.shapes[i]!
    const to = at + shape.reduce((a, b) => a * b, 1)
    const part = model.parameters.subarray(at, to)
    tensors[name] = { dtype: "F32", shape, data: part instanceof Float32Array ? part : Float32Array.from(part) }
    at = to
  })
  return {
    "config.json": new TextEncoder().encode(`${JSON.stringify({ ...config, ...dtype }, null, 2)}\n`),
    // transformers refuses a file without this.
    "model.safetensors": encodeSafetensors(tensors, { format: "pt" })
  }
}

/**
 * Writes the folder, each file under another name first. `tokenizer` is the folder whose tokenizer files come along, `config`
 * the text of the config that the model was read with.
 */
export const saveModel = (
  dir: string,
  model: ModelState,
  options: { readonly tokenizer?: string; readonly config?: string } = {}
): Effect.Effect<void, StoreError> =>
  Effect.tryPromise({
    try: async () => {
      await mkdir(dir, { recursive: true })
      const whole = async (name: string, write: (file: string) => Promise<void>) => {
        const file = path.join(dir, name)
        await write(`${file}.part`)
        await rename(`${file}.part`, file)
      }
      for (const name of tokenizerFiles) {
        const from = options.tokenizer === undefined ? undefined : path.join(options.tokenizer, name)
        if (from !== undefined && existsSync(from)) await whole(name, (file) => copyFile(from, file))
      }
      for (const [name, bytes] of Object.entries(modelFiles(model, options.config))) {
        await whole(name, (file) => writeFile(file, bytes))
      }
    },
    catch: (error) => new StoreError({ path: dir, problem: `the model cannot be written: ${(error as Error).message}` })
  })
