// Which of the ways to compute attention an operation takes.
import type { AttentionAttributes } from "../operations/attention.ts"
import { blocksOf } from "../reference/blocks.ts"
import { composedAttention, composedAttentionBackward } from "./composedAttention.ts"
import { flashAttention, flashAttentionBackward } from "./flashAttention.ts"
import type { Context, Lowering } from "./Lowering.ts"

/**
 * Width of a head. libtorch's flash kernel for CPUs suits wide heads: with heads of 8 a step of the 260K model takes 1.4 times as long as with
 * composed products, with heads of 64 they are equal (bench/engine-step.ts). Above 512 keys the probabilities that
 * composition keeps outweigh a layer's other activations.
 */
export const widestComposed = 32

const composes = ({ headDim }: AttentionAttributes, segments: Int32Array, { sizes }: Context): boolean =>
  headDim <= widestComposed && blocksOf(segments, sizes.G).every(({ own, prompt }) => prompt + own <= 512)

export const attention: Lowering<"attention"> = (inputs, attributes, context) => {
  const lower = composes(attributes, inputs.segments.ints, context) ? composedAttention : flashAttention
  return lower(inputs, attributes, context)
}

export const attentionBackward: Lowering<"attentionBackward"> = (inputs, attributes, context) => {
  const composed = composes(attributes, inputs.segments.ints, context)
  const lower = composed ? composedAttentionBackward : flashAttentionBackward
  return lower(inputs, attributes, context)
}
