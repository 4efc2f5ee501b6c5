// AdamW over bfloat16 weights: with the rest of a float32 master beside them (see master.ts), or alone and rounded at random
// (see rounding.ts). Gradients are divided by a number that stays on the device.
import type { Handle } from "../native.ts"
import type { Torch } from "../Torch.ts"
import { gridOver } from "./Fused.ts"
import type { Kernel } from "./Kernel.ts"

/** One update in float32, as torch's fused AdamW has it. `step` is the rate over the first bias correction. */
const adam = `
struct Adam { float beta1, rest1, beta2, rest2, shrink, step, correction, epsilon; };

__device__ inline float adamW(float weight, float gradient, float& m, float& v, const Adam& a) {
  m = a.beta1 * m + a.rest1 * gradient;
  v = a.beta2 * v + a.rest2 * gradient * gradient;
  return weight * a.shrink - a.step * m / (sqrtf(v) / a.correction + a.epsilon);
}
`

const settings = {
  /** [1], or null for 1. */
  scale: "const float*",
  beta1: "float",
  rest1: "float",
  beta2: "float",
  rest2: "float",
  shrink: "float",
  step: "float",
  correction: "float",
  epsilon: "float"
} as const
const declared = Object.entries(settings).map(([name, type]) => `${type} ${name}`).join(", ")
const collected = "Adam a{beta1, rest1, beta2, rest2, shrink, step, correction, epsilon};"

export const splitAdamW: Kernel = {
  name: "splitAdamW",
  variants: [["bfloat16"]],
  // [size] each
  parameters: {
    weights: "A*",
    lower: "short*",
    gradients: "const A*",
    m: "float*",
    v: "float*",
    size: "long long",
    ...settings
  },
  source: `${adam}
template <class A, int N>
__device__ inline void splitAdamWOf(A* weights, short* lower, const A* gradients, float* m, float* v, float over, const Adam& a) {
  Pack<A, N> ws = load<N>(weights), gs = load<N>(gradients);
  Pack<short, N> ls = load<N>(lower);
  Pack<float, N> ms = load<N>(m), vs = load<N>(v);
  for (int i = 0; i < N; i++) {
    float master = __uint_as_float(((unsigned int)ws.at[i].bits << 16) + (unsigned int)(int)ls.at[i]);
    float next = adamW(master, widen(gs.at[i]) / over, ms.at[i], vs.at[i], a);
    // One pattern of NaN, whose halves put together are it again.
    unsigned int bits = next == next ? __float_as_uint(next) : 0x7fc00000u;
    ws.at[i].bits = (bits + 0x8000u) >> 16;
    ls.at[i] = (short)(unsigned short)bits;
  }
  store<N>(weights, ws);
  store<N>(lower, ls);
  store<N>(m, ms);
  store<N>(v, vs);
}

template <class A>
__device__ void splitAdamW(A* weights, short* lower, const A* gradients, float* m, float* v, long long size, ${declared}) {
  ${collected}
  float over = scale ? *scale : 1.0f;
  bool four = packed(weights) && packed(lower) && packed(gradients) && packed(m) && packed(v);
  long long from = 4 * ((long long)blockIdx.x * blockDim.x + threadIdx.x);
  if (four && from + 4 <= size)
    splitAdamWOf<A, 4>(weights + from, lower + from, gradients + from, m + from, v + from, over, a);
  else
    for (long long at = from; at < size && at < from + 4; at++)
      splitAdamWOf<A, 1>(weights + at, lower + at, gradients + at, m + at, v + at, over, a);
}
`
}

/** Random bits by Philox 4x32-10 (Salmon et al. 2011): eight elements share a counter, an element takes 16 bits of it. */
export const stochasticAdamW: Kernel = {
  name: "stochasticAdamW",
  variants: [["bfloat16"]],
  // [size] each; first: the place of element 0 among all parameters, which is what it is counted by
  parameters: {
    weights: "A*",
    gradients: "const A*",
    m: "float*",
    v: "float*",
    size: "long long",
    first: "long long",
    seed: "unsigned int",
    update: "unsigned int",
    ...settings
  },
  source: `${adam}
__device__ inline void philox(unsigned int* c, unsigned int k0, unsigned int k1) {
  for (int round = 0; round < 10; round++) {
    unsigned int h0 = __umulhi(0xd2511f53u, c[0]), l0 = 0xd2511f53u * c[0];
    unsigned int h1 = __umulhi(0xcd9e8d57u, c[2]), l1 = 0xcd9e8d57u * c[2];
    c[0] = h1 ^ c[1] ^ k0;
    c[1] = l1;
    c[2] = h0 ^ c[3] ^ k1;
    c[3] = l0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
}

template <class A, int N>
__device__ inline void stochasticAdamWOf(
    A* weights, const A* gradients, float* m, float* v, float over, const unsigned int* random, int lane, const Adam& a) {
  Pack<A, N> ws = load<N>(weights), gs = load<N>(gradients);
  Pack<float, N> ms = load<N>(m), vs = load<N>(v);
  for (int i = 0; i < N; i++) {
    float next = adamW(widen(ws.at[i]), widen(gs.at[i]) / over, ms.at[i], vs.at[i], a);
    unsigned int bits = __float_as_uint(next), draw = random[(lane + i) / 2] >> 16 * ((lane + i) % 2) & 0xffffu;
    ws.at[i].bits = next == next ? (bits + draw) >> 16 : 0x7fc0u;
  }
  store<N>(weights, ws);
  store<N>(m, ms);
  store<N>(v, vs);
}

template <class A>
__device__ void stochasticAdamW(
    A* weights, const A* gradients, float* m, float* v, long long size, long long first, unsigned int seed,
    unsigned int update, ${declared}) {
  ${collected}
  float over = scale ? *scale : 1.0f;
  bool four = packed(weights) && packed(gradients) && packed(m) && packed(v);
  unsigned long long group = first / 8 + (long long)blockIdx.x * blockDim.x + threadIdx.x;
  unsigned int random[4] = {(unsigned int)group, (unsigned int)(group >> 32), update, 0};
  philox(random, seed, 0);
  long long from = 8 * group - first, to = from + 8 < size ? from + 8 : size;
  for (long long at = from < 0 ? 0 : from; at < to;) {
    if (four && at % 4 == 0 && at + 4 <= to) {
      stochasticAdamWOf<A, 4>(weights + at, gradients + at, m + at, v + at, over, random, at - from, a);
      at += 4;
    } else {
      stochasticAdamWOf<A, 1>(weights + at, gradients + at, m + at, v + at, over, random, at - from, a);
      at += 1;
    }
  }
}
`
}

/** AdamW's numbers as both kernels take them, `scale` first. */
export interface AdamWSettings {
  readonly learningRate: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly weightDecay: number
  /** The number of this update, from 1. */
  readonly updates: number
  readonly gradScale: Handle | undefined
}

const numbersOf = ({ beta1, beta2, epsilon, gradScale, learningRate, updates, weightDecay }: AdamWSettings) => [
  gradScale,
  beta1,
  1 - beta1,
  beta2,
  1 - beta2,
  1 - learningRate * weightDecay,
  learningRate / (1 - beta1 ** updates),
  Math.sqrt(1 - beta2 ** updates),
  epsilon
]

/** Updates weights [size] and the rest of their masters in place; false where there is no kernel. */
export const launchSplitAdamW = (
  { launcher }: Torch,
  { gradients, lower, m, v, weights }: Readonly<Record<"weights" | "lower" | "gradients" | "m" | "v", Handle>>,
  size: number,
  settings: AdamWSettings
): boolean => {
  if (launcher === undefined || !launcher.has("splitAdamW")) return false
  const tensors = [weights, lower, gradients, m, v]
  launcher.launch("splitAdamW", ["bfloat16"], gridOver(size, 4), [...tensors, size, ...numbersOf(settings)])
  return true
}

/** Updates weights [size] in place, rounded at random; false where there is no kernel. */
export const launchStochasticAdamW = (
  { launcher }: Torch,
  { gradients, m, v, weights }: Readonly<Record<"weights" | "gradients" | "m" | "v", Handle>>,
  { first, size }: { readonly first: number; readonly size: number },
  seed: number,
  settings: AdamWSettings
): boolean => {
  if (launcher === undefined || !launcher.has("stochasticAdamW")) return false
  // eight elements that share a counter may begin before the first
  const grid = gridOver(size + first % 8, 8)
  const placed = [weights, gradients, m, v, size, first, seed, settings.updates]
  launcher.launch("stochasticAdamW", ["bfloat16"], grid, [...placed, ...numbersOf(settings)])
  return true
}
