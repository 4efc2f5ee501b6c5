// With n = x inverse and g = cotangent (offset + weight): dx = inverse (g - n mean(g n)), and the weight's gradient, the sum of
// cotangent n over the vectors, as one partial sum per block. Blocks take vectors in turn and sum in their order, so that the
// result depends on their number alone; no atomics. A gradient that dx is added to is added on the way.
import { type Context, floats, type Tensor } from "../Lowering.ts"
import { fittingActivations, type Fused, overSpare, threadsFor } from "./Fused.ts"
import type { Kernel } from "./Kernel.ts"

export const rmsNormBackward: Kernel = {
  name: "rmsNormBackward",
  variants: [["float32"], ["bfloat16"]],
  // cotangent, x, residual, dx [vectors, width]; inverse [vectors]; partial [blocks, width], zeros; residual may be null;
  // dx may be any of the first three
  parameters: {
    cotangent: "const A*",
    x: "const A*",
    weight: "const A*",
    inverse: "const float*",
    residual: "const A*",
    dx: "A*",
    partial: "float*",
    vectors: "long long",
    width: "long long",
    offset: "float"
  },
  source: `
template <class A, int N>
__device__ void rmsNormBackwardOf(
    const A* cotangent, const A* x, const A* weight, float factor, const A* residual, A* dx, float* partial,
    long long width, float offset) {
  float dot = 0;
  for (long long j = threadIdx.x * N; j < width; j += blockDim.x * N) {
    Pack<A, N> cs = load<N>(cotangent + j), xs = load<N>(x + j), ws = load<N>(weight + j);
    for (int i = 0; i < N; i++) dot += widen(cs.at[i]) * (offset + widen(ws.at[i])) * widen(xs.at[i]) * factor;
  }
  float mean = blockSum(dot) / width;
  for (long long j = threadIdx.x * N; j < width; j += blockDim.x * N) {
    Pack<A, N> cs = load<N>(cotangent + j), xs = load<N>(x + j), ws = load<N>(weight + j), rs, ds;
    if (residual) rs = load<N>(residual + j);
    Pack<float, N> sums = load<N>(partial + j);
    for (int i = 0; i < N; i++) {
      float c = widen(cs.at[i]), n = widen(xs.at[i]) * factor;
      float d = factor * (c * (offset + widen(ws.at[i])) - n * mean);
      narrow(residual ? widen(rs.at[i]) + d : d, ds.at[i]);
      sums.at[i] += c * n;
    }
    store<N>(dx + j, ds);
    store<N>(partial + j, sums);
  }
}

template <class A>
__device__ void rmsNormBackward(
    const A* cotangent, const A* x, const A* weight, const float* inverse, const A* residual, A* dx,
    float* partial, long long vectors, long long width, float offset) {
  partial += blockIdx.x * width;
  // null is packed
  bool four = width % 4 == 0 && packed(cotangent) && packed(x) && packed(weight) && packed(residual) && packed(dx)
    && packed(partial);
  for (long long vector = blockIdx.x; vector < vectors; vector += gridDim.x) {
    long long at = vector * width;
    const A* more = residual ? residual + at : residual;
    float factor = inverse[vector];
    if (four)
      rmsNormBackwardOf<A, 4>(cotangent + at, x + at, weight, factor, more, dx + at, partial, width, offset);
    else rmsNormBackwardOf<A, 1>(cotangent + at, x + at, weight, factor, more, dx + at, partial, width, offset);
  }
}
`
}

/** Four to a multiprocessor of an H200; fixed, so that sums do not depend on the device. */
const mostBlocks = 528

type Inputs = Parameters<Fused<"rmsNormBackward">>[0]

/** The gradients, that of x added to `residual`; undefined where no kernel fits. */
export const launchRmsNormBackward = (
  { residual, ...inputs }: Inputs & { readonly residual?: Tensor },
  { offset = 0 }: Parameters<Fused<"rmsNormBackward">>[1],
  context: Context
) => {
  const { cotangent, inverse, weight, x } = inputs
  const { spare, torch } = context
  const more = residual === undefined ? [] : [residual]
  const found = fittingActivations(torch, "rmsNormBackward", [cotangent, x, weight, ...more])
  if (found === undefined) return undefined
  const { element, launcher } = found
  const [width, vectors] = [weight.shape[0]!, inverse.shape[0]! * inverse.shape[1]!]
  const blocks = Math.min(mostBlocks, vectors)
  const dx = overSpare(context, [...more, cotangent].find(spare) ?? x)
  const partial = torch.zeros([blocks, width], torch.native.dtypes.float32)
  launcher.launch("rmsNormBackward", [element], { blocks, threads: threadsFor(width) }, [
    cotangent.handles[0]!,
    x.handles[0]!,
    weight.handles[0]!,
    inverse.handles[0]!,
    residual?.handles[0],
    dx,
    partial,
    vectors,
    width,
    offset
  ])
  return {
    x: floats(dx, x.shape),
    weight: floats(torch.call("sum.dim_IntList", partial, [0]), weight.shape)
  }
}

export const lowerRmsNormBackward: Fused<"rmsNormBackward"> = (inputs, attributes, context) =>
  launchRmsNormBackward(inputs, attributes, context)
