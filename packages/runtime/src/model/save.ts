// A model's state -> a Hugging Face folder, as transformers reads it: config.json, model.safetensors, the tokenizer's files.
// Leaves out shards and other types: what is trained is kept as it is, one file of float32; export.ts writes the rest.
import { StoreError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import { existsSync } from "node:fs"
import { copyFile, mkdir, rename, writeFile } from "node:fs/promises"
import * as path from "node:path"
import type { ModelState } from "../compute/Engine.ts"
import { wholeTensors } from "./merged.ts"
import { writeTensors } from "./writeWeights.ts"

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

/** The config of weights of that type, numbers as `text` has them. */
export const configOf = (text: string, dtype: string): string => {
  const config = spelled(text)
  // transformers 5 writes the first, 4 the second.
  const fields = ["dtype", "torch_dtype"].filter((field) => field in config)
  const types = Object.fromEntries((fields.length === 0 ? ["dtype"] : fields).map((field) => [field, dtype]))
  return `${JSON.stringify({ ...config, ...types }, null, 2)}\n`
}

/** model.safetensors, adapters merged: equal models give equal bytes. Its sha256. */
export const saveWeights = (file: string, model: ModelState): Promise<string> =>
  writeTensors(
    file,
    Object.fromEntries(
      wholeTensors(model).map(({ name, shape, values }) => {
        const bytes = () => {
          const { buffer, byteLength, byteOffset } = values()
          return [new Uint8Array(buffer, byteOffset, byteLength)]
        }
        return [name, { dtype: "F32", shape, pieces: bytes }] as const
      })
    )
  )

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
      const whole = async (name: string, write: (file: string) => Promise<unknown>) => {
        const file = path.join(dir, name)
        await write(`${file}.part`)
        await rename(`${file}.part`, file)
      }
      for (const name of tokenizerFiles) {
        const from = options.tokenizer === undefined ? undefined : path.join(options.tokenizer, name)
        if (from !== undefined && existsSync(from)) await whole(name, (file) => copyFile(from, file))
      }
      const config = configOf(options.config ?? JSON.stringify(model.config), "float32")
      await whole("config.json", (file) => writeFile(file, config))
      await whole("model.safetensors", (file) => saveWeights(file, model))
    },
    catch: (error) => new StoreError({ path: dir, problem: `the model cannot be written: ${(error as Error).message}` })
  })
