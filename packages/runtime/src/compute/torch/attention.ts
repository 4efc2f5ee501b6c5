// Which of the ways to compute attention an operation takes.
import type { AttentionAttributes } from "../operations/attention.ts"
import { blocksOf } from "../reference/blocks.ts"
import { cappedAttention, cappedAttentionBackward } from "./cappedAttention.ts"
import { composedAttention, composedAttentionBackward } from "./composedAttention.ts"
import { flashAttention, flashAttentionBackward } from "./flashAttention.ts"
import type { Context, Lowering } from "./Lowering.ts"

/**
 * Width of a head. libtorch's flash kernel for CPUs suits wide heads: with heads of 8 a step of the 260K model takes 1.4
 * times as long as with composed products, with heads of 64 they are equal (bench/engine-step.ts). Above 512 keys the
 * probabilities that composition keeps outweigh a layer's other activations; in bfloat16 they would lose too much.
 */
export const widestComposed = 32

const ways = {
  capped: [cappedAttention, cappedAttentionBackward],
  composed: [composedAttention, composedAttentionBackward],
  flash: [flashAttention, flashAttentionBackward]
} as const

const wayOf = (
  { headDim, softCap, window = Infinity }: AttentionAttributes,
  segments: Int32Array,
  { sizes, torch }: Context
) => {
  if (softCap !== undefined) return ways.capped
  const most = Math.min(window, 512)
  const short = blocksOf(segments, sizes.G).every(({ own, prompt }) => prompt + own <= most)
  const float32 = torch.floats === torch.native.dtypes.float32
  return float32 && headDim <= widestComposed && short ? ways.composed : ways.flash
}

export const attention: Lowering<"attention"> = (inputs, attributes, context) =>
  wayOf(attributes, inputs.segments.ints, context)[0](inputs, attributes, context)

export const attentionBackward: Lowering<"attentionBackward"> = (inputs, attributes, context) =>
  wayOf(attributes, inputs.segments.ints, context)[1](inputs, attributes, context)
