// Low-rank adapters: which layers have them, and what their tensors are called.
// https://arxiv.org/abs/2106.09685. Leaves out dropout of their inputs.
import type { Lora } from "@penchant/dsl/Recipe"

/** A [rank, in] and B [out, rank] of a layer. */
export const adapterNames = (layer: string) => ({ down: `${layer}.lora_A.weight`, up: `${layer}.lora_B.weight` })

export const isAdapter = (tensor: string): boolean => /\.lora_[AB]\.weight$/.test(tensor)

/** Whether the layer of that name has one. */
export const adapts = ({ targets }: Lora, layer: string): boolean =>
  targets === "all-linear" || targets.some((target) => layer === target || layer.endsWith(`.${target}`))
