// sum = a + b, rounded as it is stored, then the norm of it: what a residual and the norm after it are, in one read of each.
import type { Kernel } from "./Kernel.ts"

export const addRmsNorm: Kernel = {
  name: "addRmsNorm",
  variants: [["float32"], ["bfloat16"]],
  // a, b, sum, y [vectors, width]; inverse [vectors]; sum may be a or b
  parameters: {
    a: "const A*",
    b: "const A*",
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
__device__ void addRmsNormOf(
    const A* a, const A* b, const A* weight, A* sum, A* y, float* inverse, long long width, float epsilon, float offset) {
  float squares = 0;
  for (long long j = threadIdx.x * N; j < width; j += blockDim.x * N) {
    Pack<A, N> as = load<N>(a + j), bs = load<N>(b + j), xs;
    for (int i = 0; i < N; i++) {
      narrow(widen(as.at[i]) + widen(bs.at[i]), xs.at[i]);
      squares += widen(xs.at[i]) * widen(xs.at[i]);
    }
    store<N>(sum + j, xs);
  }
  float factor = 1.0f / sqrtf(blockSum(squares) / width + epsilon);
  if (threadIdx.x == 0) *inverse = factor;
  // Each thread reads what it wrote itself.
  for (long long j = threadIdx.x * N; j < width; j += blockDim.x * N) {
    Pack<A, N> xs = load<N>(sum + j), ws = load<N>(weight + j), ys;
    for (int i = 0; i < N; i++) narrow(widen(xs.at[i]) * factor * (offset + widen(ws.at[i])), ys.at[i]);
    store<N>(y + j, ys);
  }
}

template <class A>
__device__ void addRmsNorm(
    const A* a, const A* b, const A* weight, A* sum, A* y, float* inverse, long long width, float epsilon, float offset) {
  long long from = blockIdx.x * width;
  a += from;
  b += from;
  sum += from;
  y += from;
  inverse += blockIdx.x;
  if (width % 4 == 0 && packed(a) && packed(b) && packed(sum) && packed(y) && packed(weight))
    addRmsNormOf<A, 4>(a, b, weight, sum, y, inverse, width, epsilon, offset);
  else addRmsNormOf<A, 1>(a, b, weight, sum, y, inverse, width, epsilon, offset);
}
`
}
