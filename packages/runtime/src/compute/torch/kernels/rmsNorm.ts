// y = (offset + weight) x inverse: a block per vector, one read of x from memory and one from the cache.
import { vectorsOf } from "../../operations/rmsNorm.ts"
import { floats } from "../Lowering.ts"
import { fittingActivations, type Fused, threadsFor } from "./Fused.ts"
import type { Kernel } from "./Kernel.ts"

export const rmsNorm: Kernel = {
  name: "rmsNorm",
  variants: [["float32"], ["bfloat16"]],
  // x, y [vectors, width]; inverse [vectors]
  parameters: {
    x: "const A*",
    weight: "const A*",
    y: "A*",
    inverse: "float*",
    width: "long long",
    epsilon: "float",
    offset: "float"
  },
  source: `
template <class A, int N>
__device__ void rmsNormOf(const A* x, const A* weight, A* y, float* inverse, long long width, float epsilon, float offset) {
  float squares = 0;
  for (long long j = threadIdx.x * N; j < width; j += blockDim.x * N) {
    Pack<A, N> xs = load<N>(x + j);
    for (int i = 0; i < N; i++) squares += widen(xs.at[i]) * widen(xs.at[i]);
  }
  float factor = 1.0f / sqrtf(blockSum(squares) / width + epsilon);
  if (threadIdx.x == 0) *inverse = factor;
  for (long long j = threadIdx.x * N; j < width; j += blockDim.x * N) {
    Pack<A, N> xs = load<N>(x + j), ws = load<N>(weight + j), ys;
    for (int i = 0; i < N; i++) narrow(widen(xs.at[i]) * factor * (offset + widen(ws.at[i])), ys.at[i]);
    store<N>(y + j, ys);
  }
}

template <class A>
__device__ void rmsNorm(const A* x, const A* weight, A* y, float* inverse, long long width, float epsilon, float offset) {
  x += blockIdx.x * width;
  y += blockIdx.x * width;
  inverse += blockIdx.x;
  if (width % 4 == 0 && packed(x) && packed(y) && packed(weight))
    rmsNormOf<A, 4>(x, weight, y, inverse, width, epsilon, offset);
  else rmsNormOf<A, 1>(x, weight, y, inverse, width, epsilon, offset);
}
`
}

export const lowerRmsNorm: Fused<"rmsNorm"> = ({ weight, x }, { epsilon, offset = 0 }, { torch }) => {
  const found = fittingActivations(torch, "rmsNorm", [x, weight])
  if (found === undefined) return undefined
  const { element, launcher } = found
  const [width, vectors] = [weight.shape[0]!, [x.shape[0]!, vectorsOf(x, weight)] as const]
  const [y, inverse] = [torch.empty(x.shape), torch.empty(vectors, torch.native.dtypes.float32)]
  launcher.launch("rmsNorm", [element], { blocks: vectors[0] * vectors[1], threads: threadsFor(width) }, [
    x.handles[0]!,
    weight.handles[0]!,
    y,
    inverse,
    width,
    epsilon,
    offset
  ])
  return { y: floats(y, x.shape), inverse: floats(inverse, vectors) }
}
