// The models and the pairs that engines are measured on: three sizes of Llama and 8 real pairs. The 260K model and its token
// ids are real; the larger ones have random weights and ids, and lengths cut to what their vocabularies would make of the
// same text.
import type { TokenGroups } from "@penchant/runtime/compute/Batch"
import type { ModelState } from "@penchant/runtime/compute/Engine"
import { decodeSafetensors } from "@penchant/runtime/data/safetensors"
import { architecture } from "@penchant/runtime/model/families"
import * as Result from "effect/Result"
import * as fs from "node:fs"

export interface Size {
  readonly config: Readonly<Record<string, unknown>>
  /** Tokens per token of the 512-piece vocabulary. */
  readonly density: number
  readonly steps: number
}
const llama = (
  hidden: number,
  inner: number,
  layers: number,
  heads: number,
  kvHeads: number,
  vocabulary: number
) => ({
  architectures: ["LlamaForCausalLM"],
  hidden_size: hidden,
  intermediate_size: inner,
  num_hidden_layers: layers,
  num_attention_heads: heads,
  num_key_value_heads: kvHeads,
  vocab_size: vocabulary,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true
})
export const sizes: Readonly<Record<string, Size>> = {
  "260K": { config: llama(64, 172, 5, 8, 4, 512), density: 1, steps: 30 },
  "5.4M": { config: llama(256, 688, 6, 8, 4, 4096), density: 0.5, steps: 12 },
  "27M": { config: llama(512, 1376, 8, 8, 4, 8192), density: 0.45, steps: 6 }
}

const root = new URL("../", import.meta.url)
export const count = (shape: ReadonlyArray<number>): number => shape.reduce((a, b) => a * b, 1)

/** Numbers between 0 and 1, the same in every run. */
const random = (seed: number) => () => (seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32

export const modelOf = (name: string, config: Size["config"]): ModelState => {
  const { tensors } = Result.getOrThrow(architecture(config))
  const names = tensors.map((tensor) => tensor.name)
  const shapes = tensors.map(({ shape }) => shape)
  if (name === "260K") {
    const file = new URL("data/models/stories260K/model.safetensors", root)
    const stored = Result.getOrThrow(decodeSafetensors(fs.readFileSync(file), file.pathname)).tensors
    const parameters = Float32Array.from(names.flatMap((each) => Array.from(stored[each]!.data as Float32Array)))
    return { config, names, shapes, parameters }
  }
  const next = random(1)
  const parameters = new Float32Array(shapes.reduce((sum, shape) => sum + count(shape), 0))
  let at = 0
  for (const shape of shapes) {
    const end = at + count(shape)
    for (; at < end; at++) parameters[at] = shape.length === 1 ? 1 : 0.04 * (next() + next() + next() - 1.5)
  }
  return { config, names, shapes, parameters }
}

interface StoredPair {
  readonly prompt_ids: ReadonlyArray<number>
  readonly chosen_ids: ReadonlyArray<number>
  readonly rejected_ids: ReadonlyArray<number>
}

export const dataOf = ({ config, density }: Size): TokenGroups => {
  const file = new URL("packages/runtime/test/references/logprobs.json", root)
  const stored: ReadonlyArray<StoredPair> = JSON.parse(fs.readFileSync(file, "utf8")).pairs.slice(0, 8)
  const vocabulary = config["vocab_size"] as number
  const cut = (ids: ReadonlyArray<number>): ReadonlyArray<number> =>
    density === 1
      ? ids
      : Array.from({ length: Math.max(2, Math.round(density * ids.length)) }, (_, i) =>
        (ids[i]! * 7919 + i * 104_729) % vocabulary)
  const groups = stored.map((pair) => [cut(pair.prompt_ids), cut(pair.chosen_ids), cut(pair.rejected_ids)] as const)
  const offsets = [0]
  for (const parts of groups) offsets.push(offsets.at(-1)! + parts.reduce((sum, part) => sum + part.length, 0))
  return {
    tokens: Int32Array.from(groups.flat(2)),
    offsets: Int32Array.from(offsets),
    promptLength: Int32Array.from(groups, ([prompt]) => prompt.length),
    branchLength: Int32Array.from(groups.flatMap(([, chosen, rejected]) => [chosen.length, rejected.length])),
    sides: ["chosen", "rejected"],
    ids: groups.map((_, g) => String(g)),
    columns: {}
  }
}
