// The softmax of the head, a block per row of logits: its log-sum, and the gradient of picked log-probabilities.
import type { Handle } from "../native.ts"
import type { Torch } from "../Torch.ts"
import { fitting, threadsFor } from "./Fused.ts"
import { type Kernel, mostThreads } from "./Kernel.ts"

/** log(sum(exp(x))) of each row in one read: sums are carried over to a new maximum where one is met. */
export const logSums: Kernel = {
  name: "logSums",
  variants: [["float32"], ["bfloat16"]],
  // logits [rows, width]; sums [rows]
  parameters: { logits: "const A*", sums: "float*", width: "long long" },
  source: `
template <class A, int N> __device__ inline void logSumsOf(const A* logits, long long width, float& top, float& sum) {
  for (long long j = threadIdx.x * N; j < width; j += blockDim.x * N) {
    Pack<A, N> xs = load<N>(logits + j);
    for (int i = 0; i < N; i++) {
      float x = widen(xs.at[i]);
      if (x > top) {
        sum *= expf(top - x);
        top = x;
      }
      sum += expf(x - top);
    }
  }
}

template <class A> __device__ void logSums(const A* logits, float* sums, long long width) {
  float top = -3.402823466e+38f, sum = 0;
  logits += blockIdx.x * width;
  if (width % 4 == 0 && packed(logits)) logSumsOf<A, 4>(logits, width, top, sum);
  else logSumsOf<A, 1>(logits, width, top, sum);
  float highest = blockMax(top), whole = blockSum(sum * expf(top - highest));
  if (threadIdx.x == 0) sums[blockIdx.x] = highest + logf(whole);
}
`
}

/**
 * slopes = bend (picks - weight softmax(logits)): `picks` are sparse, entries [starts[r], starts[r + 1]) of row r, at most one
 * per token and as many as the block has threads. bend = 1 - (logit inverseCap)², the slope of a soft cap, 1 at inverseCap 0.
 */
export const softmaxGradient: Kernel = {
  name: "softmaxGradient",
  variants: [["float32", "float32"], ["bfloat16", "bfloat16"], ["float32", "bfloat16"]],
  // logits, slopes [rows, width], slopes may be logits; sums, weights [rows]; starts [rows + 1]; tokens, values [entries]
  parameters: {
    logits: "const A*",
    slopes: "B*",
    sums: "const float*",
    weights: "const float*",
    starts: "const int*",
    tokens: "const int*",
    values: "const float*",
    width: "long long",
    inverseCap: "float"
  },
  source: `
__device__ inline float slopeOf(float logit, float pick, float weight, float sum, float inverseCap) {
  float bent = logit * inverseCap;
  return (pick - weight * expf(logit - sum)) * (1.0f - bent * bent);
}

template <class A, class B, int N>
__device__ inline void slopesOf(
    const A* logits, B* slopes, float weight, float sum, long long width, float inverseCap) {
  for (long long j = threadIdx.x * N; j < width; j += blockDim.x * N) {
    Pack<A, N> xs = load<N>(logits + j);
    Pack<B, N> ys;
    for (int i = 0; i < N; i++) narrow(slopeOf(widen(xs.at[i]), 0.0f, weight, sum, inverseCap), ys.at[i]);
    store<N>(slopes + j, ys);
  }
}

template <class A, class B>
__device__ void softmaxGradient(
    const A* logits, B* slopes, const float* sums, const float* weights, const int* starts, const int* tokens,
    const float* values, long long width, float inverseCap) {
  logits += blockIdx.x * width;
  slopes += blockIdx.x * width;
  float weight = weights[blockIdx.x], sum = sums[blockIdx.x];
  int entry = starts[blockIdx.x] + threadIdx.x;
  bool picks = entry < starts[blockIdx.x + 1];
  // read before it is overwritten
  float picked = picks ? widen(logits[tokens[entry]]) : 0.0f;
  __syncthreads();
  if (width % 4 == 0 && packed(logits) && packed(slopes)) slopesOf<A, B, 4>(logits, slopes, weight, sum, width, inverseCap);
  else slopesOf<A, B, 1>(logits, slopes, weight, sum, width, inverseCap);
  __syncthreads();
  if (picks) narrow(slopeOf(picked, values[entry], weight, sum, inverseCap), slopes[tokens[entry]]);
}
`
}

/** [rows, 1] of logits [rows, width]; undefined where no kernel fits. */
export const launchLogSums = (torch: Torch, logits: Handle, rows: number, width: number): Handle | undefined => {
  const found = fitting(torch, "logSums", [logits])
  if (found === undefined) return undefined
  const sums = torch.empty([rows, 1], torch.native.dtypes.float32)
  const grid = { blocks: rows, threads: threadsFor(width) }
  found.launcher.launch("logSums", [found.element], grid, [logits, sums, width])
  return sums
}

export interface Picks {
  /** Of the softmax, by row. */
  readonly weights: Float64Array
  /** row * width + token -> value */
  readonly entries: ReadonlyMap<number, number>
}

/** entries [starts[r], starts[r + 1]) are row r's, in the order in which they were met. */
const byRow = ({ entries, weights }: Picks, width: number) => {
  const rowOf = (entry: number) => Math.floor(entry / width)
  const starts = new Int32Array(weights.length + 1)
  for (const entry of entries.keys()) starts[rowOf(entry) + 1]! += 1
  const most = starts.reduce((a, b) => Math.max(a, b))
  for (let r = 0; r < weights.length; r++) starts[r + 1]! += starts[r]!
  const [tokens, values, next] = [new Int32Array(entries.size), new Float32Array(entries.size), starts.slice()]
  for (const [entry, value] of entries) {
    const at = next[rowOf(entry)]!++
    tokens[at] = entry % width
    values[at] = value
  }
  return { most, starts, tokens, values }
}

/**
 * Gradients of logits [rows, width] in the element type of the session, over the logits themselves where these are `spare`;
 * undefined where no kernel fits.
 */
export const launchSoftmaxGradient = (
  torch: Torch,
  { logits, picks, softCap, spare, sums, width }: {
    readonly logits: Handle
    /** [rows, 1] */
    readonly sums: Handle
    readonly picks: Picks
    readonly width: number
    readonly softCap: number | undefined
    readonly spare: boolean
  }
): Handle | undefined => {
  const found = fitting(torch, "softmaxGradient", [logits])
  if (found === undefined) return undefined
  const { dtypes } = torch.native
  const to = torch.floats === dtypes.bfloat16 ? "bfloat16" : "float32"
  const { most, starts, tokens, values } = byRow(picks, width)
  if ((found.element === "bfloat16" && to === "float32") || most > mostThreads) return undefined
  const rows = picks.weights.length
  const slopes = spare && found.element === to ? torch.alias(logits) : torch.empty([rows, width])
  const threads = Math.max(threadsFor(width), 32 * Math.ceil(most / 32))
  found.launcher.launch("softmaxGradient", [found.element, to], { blocks: rows, threads }, [
    logits,
    slopes,
    sums,
    torch.upload(picks.weights, [rows]),
    torch.upload(starts, [rows + 1]),
    torch.upload(tokens, [tokens.length]),
    torch.upload(values, [values.length]),
    width,
    softCap === undefined ? 0 : 1 / softCap
  ])
  return slopes
}
