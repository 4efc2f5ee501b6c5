// Rotary positions: a block per row, a thread per pair. Forward and backward are one kernel: the sine changes its sign.
import { floats } from "../Lowering.ts"
import { fittingActivations, type Fused, overSpare } from "./Fused.ts"
import { type Kernel, mostThreads } from "./Kernel.ts"

export const rope: Kernel = {
  name: "rope",
  variants: [["float32"], ["bfloat16"]],
  // x, y [rows, width], y may be x; positions [rows]; cos, sin [_, half]. Pair i of a head is (i step, i step + apart).
  parameters: {
    x: "const A*",
    y: "A*",
    positions: "const long long*",
    cos: "const float*",
    sin: "const float*",
    width: "unsigned int",
    headDim: "unsigned int",
    half: "unsigned int",
    step: "unsigned int",
    apart: "unsigned int",
    sign: "float"
  },
  source: `
template <class A>
__device__ void rope(
    const A* x, A* y, const long long* positions, const float* cos, const float* sin, unsigned int width,
    unsigned int headDim, unsigned int half, unsigned int step, unsigned int apart, float sign) {
  long long from = (long long)blockIdx.x * width, turn = positions[blockIdx.x] * half;
  // of each head: its pairs, then what passes
  unsigned int each = headDim - half;
  for (unsigned int k = threadIdx.x; k < width / headDim * each; k += blockDim.x) {
    unsigned int i = k % each;
    long long head = from + k / each * headDim;
    if (i < half) {
      long long at = head + i * step;
      float c = cos[turn + i], s = sign * sin[turn + i], u = widen(x[at]), v = widen(x[at + apart]);
      narrow(u * c - v * s, y[at]);
      narrow(v * c + u * s, y[at + apart]);
    } else if (x != y) y[head + half + i] = x[head + half + i];
  }
}
`
}

export const lowerRope: Fused<"rope"> = ({ cos, positions, sin, x }, attributes, context) => {
  const { dims, headDim, inverse, style } = attributes
  const { index, torch } = context
  const found = fittingActivations(torch, "rope", [x])
  if (found === undefined) return undefined
  const { element, launcher } = found
  const [rows, width] = x.shape as [number, number]
  const half = dims / 2
  const y = overSpare(context, x)
  const each = width / headDim * (headDim - half)
  launcher.launch("rope", [element], { blocks: rows, threads: Math.min(mostThreads, 32 * Math.ceil(each / 32)) }, [
    x.handles[0]!,
    y,
    index(positions.ints),
    cos.handles[0]!,
    sin.handles[0]!,
    width,
    headDim,
    half,
    style === "half" ? 1 : 2,
    style === "half" ? half : 1,
    inverse ? -1 : 1
  ])
  return { y: floats(y, x.shape) }
}
