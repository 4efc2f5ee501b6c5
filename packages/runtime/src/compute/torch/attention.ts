// Which of the ways to compute attention an operation takes.
import type { AttentionAttributes } from "../operations/attention.ts"
import { blocksOf } from "../reference/blocks.ts"
import { composedAttention, composedAttentionBackward } from "./composedAttention.ts"
import { flashAttention, flashAttentionBackward } from "./flashAttention.ts"
import type { Context, Lowering, Tensor } from "./Lowering.ts"
import { maskedAttention, maskedAttentionBackward } from "./maskedAttention.ts"
import { varlenAttention, varlenAttentionBackward } from "./varlenAttention.ts"

/**
 * Width of a head. libtorch's flash kernel for CPUs suits wide heads: with heads of 8 a step of the 260K model takes 1.4
 * times as long as with composed products, with heads of 64 they are equal (bench/engine-step.ts). Above 512 keys the
 * probabilities that composition keeps outweigh a layer's other activations; in bfloat16 they would lose too much.
 */
export const widestComposed = 32

const ways = {
  masked: [maskedAttention, maskedAttentionBackward],
  composed: [composedAttention, composedAttentionBackward],
  flash: [flashAttention, flashAttentionBackward],
  varlen: [varlenAttention, varlenAttentionBackward]
} as const

const wayOf = (
  { headDim, softCap, window = Infinity }: AttentionAttributes,
  { q, segments }: { readonly q: Tensor; readonly segments: Tensor },
  { sizes, torch }: Context
) => {
  if (softCap !== undefined) return ways.masked
  const float32 = torch.floats === torch.native.dtypes.float32
  const most = blocksOf(segments.ints, sizes.G, q.shape[0]!).reduce(
    (keys, { own, prompt }) => Math.max(keys, prompt + own),
    0
  )
  const products = window < most ? ways.masked : ways.composed
  if (torch.device.kind === "cpu") return float32 && headDim <= widestComposed && most <= 512 ? products : ways.flash
  if (float32) return products
  if (headDim % 8 === 0 && headDim <= 256) return ways.varlen
  throw new Error(
    `flash attention on CUDA takes heads of a multiple of 8 up to 256, not ${headDim}: set precision float32 in the recipe`
  )
}

export const attention: Lowering<"attention"> = (inputs, attributes, context) =>
  wayOf(attributes, inputs, context)[0](inputs, attributes, context)

export const attentionBackward: Lowering<"attentionBackward"> = (inputs, attributes, context) =>
  wayOf(attributes, inputs, context)[1](inputs, attributes, context)
