// y = (offset + weight) x inverse: a block per vector, one read of x from memory and one from the cache. A residual that is
// added before is added on the way, rounded as it is stored.
import { vectorsOf } from "../../operations/rmsNorm.ts"
import { type Context, floats, type Tensor } from "../Lowering.ts"
import { fittingActivations, type Fused, overSpare, threadsFor } from "./Fused.ts"
import type { Kernel } from "./Kernel.ts"

export const rmsNorm: Kernel = {
  name: "rmsNorm",
  variants: [["float32"], ["bfloat16"]],
  // x, addend, sum, y [vectors, width]; inverse [vectors]. Without an addend, null, no sum is written; sum may be x or addend
  parameters: {
    x: "const A*",
    addend: "const A*",
    weight: "const A*",
    sum: "A*",
    y: "A*",
    inverse: "float*",
    width: "long long",
    epsilon: "float",
    offset: "float"
  },
  source: `
template <class A, int N>
__device__ void rmsNormOf(
    const A* x, const A* addend, const A* weight, A* sum, A* y, float* inverse, long long width, float epsilon, float offset) {
  float squares = 0;
  for (long long j = threadIdx.x * N; j < width; j += blockDim.x * N) {
    Pack<A, N> xs = load<N>(x + j);
    if (addend) {
      Pack<A, N> as = load<N>(addend + j);
      for (int i = 0; i < N; i++) narrow(widen(xs.at[i]) + widen(as.at[i]), xs.at[i]);
      store<N>(sum + j, xs);
    }
    for (int i = 0; i < N; i++) squares += widen(xs.at[i]) * widen(xs.at[i]);
  }
  float factor = 1.0f / sqrtf(blockSum(squares) / width + epsilon);
  if (threadIdx.x == 0) *inverse = factor;
  // Of the sum each thread reads what it wrote itself.
  const A* normed = addend ? sum : x;
  for (long long j = threadIdx.x * N; j < width; j += blockDim.x * N) {
    Pack<A, N> xs = load<N>(normed + j), ws = load<N>(weight + j), ys;
    for (int i = 0; i < N; i++) narrow(widen(xs.at[i]) * factor * (offset + widen(ws.at[i])), ys.at[i]);
    store<N>(y + j, ys);
  }
}

template <class A>
__device__ void rmsNorm(
    const A* x, const A* addend, const A* weight, A* sum, A* y, float* inverse, long long width, float epsilon, float offset) {
  long long from = blockIdx.x * width;
  x += from;
  y += from;
  inverse += blockIdx.x;
  if (addend) {
    addend += from;
    sum += from;
  }
  // null is packed
  if (width % 4 == 0 && packed(x) && packed(addend) && packed(weight) && packed(sum) && packed(y))
    rmsNormOf<A, 4>(x, addend, weight, sum, y, inverse, width, epsilon, offset);
  else rmsNormOf<A, 1>(x, addend, weight, sum, y, inverse, width, epsilon, offset);
}
`
}

/** The norm of x + addend, and the sum; undefined where no kernel fits. */
export const launchRmsNorm = (
  { addend, weight, x }: { readonly x: Tensor; readonly addend?: Tensor; readonly weight: Tensor },
  { epsilon, offset = 0 }: Parameters<Fused<"rmsNorm">>[1],
  context: Context
) => {
  const { spare, torch } = context
  const terms = addend === undefined ? [x] : [x, addend]
  const found = fittingActivations(torch, "rmsNorm", [...terms, weight])
  if (found === undefined) return undefined
  const { element, launcher } = found
  const [width, vectors] = [weight.shape[0]!, [x.shape[0]!, vectorsOf(x, weight)] as const]
  const sum = addend === undefined ? undefined : overSpare(context, spare(x) ? x : addend)
  const [y, inverse] = [torch.empty(x.shape), torch.empty(vectors, torch.native.dtypes.float32)]
  launcher.launch("rmsNorm", [element], { blocks: vectors[0] * vectors[1], threads: threadsFor(width) }, [
    x.handles[0]!,
    addend?.handles[0],
    weight.handles[0]!,
    sum,
    y,
    inverse,
    width,
    epsilon,
    offset
  ])
  return { y: floats(y, x.shape), inverse: floats(inverse, vectors), sum }
}

export const lowerRmsNorm: Fused<"rmsNorm"> = (inputs, attributes, context) => {
  const done = launchRmsNorm(inputs, attributes, context)
  return done === undefined ? undefined : { y: done.y, inverse: done.inverse }
}
