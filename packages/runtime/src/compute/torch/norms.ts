// Norms: libtorch's fused kernels, and a composition for the gradient of rmsNorm (its fused kernel exists on CUDA only).
import { vectorsOf } from "../operations/rmsNorm.ts"
import { type Context, floats, type Lowering, type Tensor } from "./Lowering.ts"
import type { Handle } from "./native.ts"

/** [R, n, d] of x [R, n d], n vectors of the weight's length in a row. */
const apart = ({ torch }: Context, x: Tensor, weight: Tensor): Handle =>
  torch.call("view", x.handles[0]!, [x.shape[0]!, vectorsOf(x, weight), weight.shape[0]!])

/** offset + weight */
const shifted = ({ once, torch }: Context, weight: Tensor, offset = 0): Handle =>
  offset === 0
    ? weight.handles[0]!
    : once(weight, `${offset} +`, () => {
      const constant = torch.upload(new Float32Array(weight.shape[0]!).fill(offset), weight.shape)
      return torch.add(weight.handles[0]!, constant)
    })

export const rmsNorm: Lowering<"rmsNorm"> = ({ weight, x }, { epsilon, offset }, context) => {
  const { torch } = context
  const [y, inverse] = torch.all("_fused_rms_norm", [
    apart(context, x, weight),
    [weight.shape[0]!],
    shifted(context, weight, offset),
    epsilon
  ])
  const vectors = [x.shape[0]!, vectorsOf(x, weight)]
  return {
    y: floats(torch.call("view", y!, x.shape), x.shape),
    inverse: floats(torch.call("view", inverse!, vectors), vectors)
  }
}

/** With n = x inverse and g = cotangent weight: x = inverse (g - n mean(g n)), weight = sum over vectors of cotangent n. */
export const rmsNormBackward: Lowering<"rmsNormBackward"> = (
  { cotangent, inverse, weight, x },
  { offset },
  context
) => {
  const { torch } = context
  const times = (a: Handle, b: Handle) => torch.call("mul.Tensor", a, b)
  const pull = apart(context, cotangent, weight)
  const factor = torch.call("view", inverse.handles[0]!, [...inverse.shape, 1])
  const n = times(apart(context, x, weight), factor)
  const slopes = times(pull, n)
  const scaled = shifted(context, weight, offset)
  const g = times(pull, scaled)
  // mean(g n) = mean over columns of cotangent n weight
  const mean = torch.call("mean.dim", times(slopes, scaled), [2], true)
  torch.call("mul_.Tensor", n, mean)
  const dX = torch.add(g, n, -1)
  torch.call("mul_.Tensor", dX, factor)
  return {
    x: floats(torch.call("view", dX, x.shape), x.shape),
    weight: floats(torch.call("sum.dim_IntList", slopes, [0, 1]), weight.shape)
  }
}

export const layerNorm: Lowering<"layerNorm"> = ({ bias, weight, x }, { epsilon }, { torch }) => {
  const [y, mean, inverse] = torch.all("native_layer_norm", [
    x.handles[0]!,
    weight.shape,
    weight.handles[0]!,
    bias.handles[0]!,
    epsilon
  ])
  const perRow = [x.shape[0]!, 1]
  return { y: floats(y!, x.shape), mean: floats(mean!, perRow), inverse: floats(inverse!, perRow) }
}

export const layerNormBackward: Lowering<"layerNormBackward"> = (inputs, _, { torch }) => {
  const { cotangent, inverse, mean, weight, x } = inputs
  const [dX, dWeight, dBias] = torch.all("native_layer_norm_backward", [
    cotangent.handles[0]!,
    x.handles[0]!,
    weight.shape,
    mean.handles[0]!,
    inverse.handles[0]!,
    weight.handles[0]!,
    // Only whether there is a bias is read of it.
    weight.handles[0]!,
    [true, true, true]
  ])
  return { x: floats(dX!, x.shape), weight: floats(dWeight!, weight.shape), bias: floats(dBias!, weight.shape) }
}
