// Root-mean-square norm: libtorch's fused kernel forward, a composition backward (the fused one exists on CUDA only).
import { floats, type Lowering } from "./Lowering.ts"

export const rmsNorm: Lowering<"rmsNorm"> = ({ weight, x }, { epsilon }, { torch }) => {
  const [y, inverse] = torch.all("_fused_rms_norm", [x.handles[0]!, [x.shape[1]!], weight.handles[0]!, epsilon])
  return { y: floats(y!, x.shape), inverse: floats(inverse!, [x.shape[0]!, 1]) }
}

/** With n = x inverse and g = cotangent weight: x = inverse (g - n mean(g n)), weight = sum over rows of cotangent n. */
export const rmsNormBackward: Lowering<"rmsNormBackward"> = ({ cotangent, inverse, weight, x }, _, { torch }) => {
  const times = (a: bigint, b: bigint) => torch.call("mul.Tensor", a, b)
  const n = times(x.handles[0]!, inverse.handles[0]!)
  const slopes = times(cotangent.handles[0]!, n)
  const g = times(cotangent.handles[0]!, weight.handles[0]!)
  // mean(g n) = mean over columns of cotangent n weight
  const mean = torch.call("mean.dim", times(slopes, weight.handles[0]!), [1], true)
  torch.call("mul_.Tensor", n, mean)
  const dX = torch.add(g, n, -1)
  torch.call("mul_.Tensor", dX, inverse.handles[0]!)
  return {
    x: floats(dX, x.shape),
    weight: floats(torch.call("sum.dim_IntList", slopes, [0]), weight.shape)
  }
}
