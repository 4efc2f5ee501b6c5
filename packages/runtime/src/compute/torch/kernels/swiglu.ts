// y = silu(gate) up, and its gradients from gate and up alone. A thread per four elements.
import { floats, type Tensor } from "../Lowering.ts"
import { fittingActivations, type Fused, gridOver, overSpare } from "./Fused.ts"
import type { Kernel } from "./Kernel.ts"

/** [size] each; y may be gate or up. */
export const swiglu: Kernel = {
  name: "swiglu",
  variants: [["float32"], ["bfloat16"]],
  parameters: { gate: "const A*", up: "const A*", y: "A*", size: "long long" },
  source: `
template <class A, int N> __device__ inline void swigluOf(const A* gate, const A* up, A* y) {
  Pack<A, N> gs = load<N>(gate), us = load<N>(up), ys;
  for (int i = 0; i < N; i++) {
    float g = widen(gs.at[i]);
    narrow(g / (1.0f + expf(-g)) * widen(us.at[i]), ys.at[i]);
  }
  store<N>(y, ys);
}

template <class A> __device__ void swiglu(const A* gate, const A* up, A* y, long long size) {
  long long from = 4 * ((long long)blockIdx.x * blockDim.x + threadIdx.x);
  if (from + 4 <= size && packed(gate) && packed(up) && packed(y)) swigluOf<A, 4>(gate + from, up + from, y + from);
  else for (long long i = from; i < size && i < from + 4; i++) swigluOf<A, 1>(gate + i, up + i, y + i);
}
`
}

/** [size] each; dGate and dUp may be gate, up or cotangent, not the same of them. */
export const swigluBackward: Kernel = {
  name: "swigluBackward",
  variants: [["float32"], ["bfloat16"]],
  parameters: {
    cotangent: "const A*",
    gate: "const A*",
    up: "const A*",
    dGate: "A*",
    dUp: "A*",
    size: "long long"
  },
  source: `
template <class A, int N>
__device__ inline void swigluBackwardOf(const A* cotangent, const A* gate, const A* up, A* dGate, A* dUp) {
  Pack<A, N> cs = load<N>(cotangent), gs = load<N>(gate), us = load<N>(up), dgs, dus;
  for (int i = 0; i < N; i++) {
    float c = widen(cs.at[i]), g = widen(gs.at[i]), s = 1.0f / (1.0f + expf(-g));
    narrow(c * g * s, dus.at[i]);
    narrow(c * widen(us.at[i]) * s * (1.0f + g * (1.0f - s)), dgs.at[i]);
  }
  store<N>(dGate, dgs);
  store<N>(dUp, dus);
}

template <class A>
__device__ void swigluBackward(const A* cotangent, const A* gate, const A* up, A* dGate, A* dUp, long long size) {
  long long from = 4 * ((long long)blockIdx.x * blockDim.x + threadIdx.x);
  if (from + 4 <= size && packed(cotangent) && packed(gate) && packed(up) && packed(dGate) && packed(dUp))
    swigluBackwardOf<A, 4>(cotangent + from, gate + from, up + from, dGate + from, dUp + from);
  else
    for (long long i = from; i < size && i < from + 4; i++)
      swigluBackwardOf<A, 1>(cotangent + i, gate + i, up + i, dGate + i, dUp + i);
}
`
}

const sizeOf = ({ shape }: Tensor): number => shape.reduce((a, b) => a * b, 1)

export const lowerSwiglu: Fused<"swiglu"> = ({ gate, up }, _, context) => {
  const found = fittingActivations(context.torch, "swiglu", [gate, up])
  if (found === undefined) return undefined
  const y = overSpare(context, context.spare(gate) ? gate : up)
  const [g, u] = [gate.handles[0]!, up.handles[0]!]
  found.launcher.launch("swiglu", [found.element], gridOver(sizeOf(gate), 4), [g, u, y, sizeOf(gate)])
  return { y: floats(y, gate.shape) }
}

export const lowerSwigluBackward: Fused<"swigluBackward"> = ({ cotangent, gate, up }, _, { spare, torch }) => {
  const found = fittingActivations(torch, "swigluBackward", [cotangent, gate, up])
  if (found === undefined) return undefined
  const inputs = [cotangent, gate, up]
  const [c, g, u] = inputs.map(({ handles }) => handles[0]!) as [bigint, bigint, bigint]
  const free = [...new Set([gate, up, cotangent].filter(spare))]
  const [dGate, dUp] = [0, 1].map((
    i
  ) => (free[i] === undefined ? torch.empty(gate.shape) : torch.alias(free[i].handles[0]!)))
  found.launcher.launch("swigluBackward", [found.element], gridOver(sizeOf(gate), 4), [
    c,
    g,
    u,
    dGate,
    dUp,
    sizeOf(gate)
  ])
  return { gate: floats(dGate!, gate.shape), up: floats(dUp!, up.shape) }
}
