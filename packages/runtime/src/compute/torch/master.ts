// The flat weights and gradients of a model in one of two layouts, and AdamW over them.
// float32: 4 + 4 bytes a parameter. bfloat16: the graph reads the upper halves of float32 masters, rounded to nearest; what
// rounding took, as 16-bit integers, is kept beside them, and gradients are bfloat16: 2 + 2 + 2. With Adam's moments, 16 and 14.
// A third, without masters, is in rounding.ts.
import type { Place } from "../places.ts"
import { type AdamWSettings, launchSplitAdamW } from "./kernels/adamW.ts"
import type { Handle } from "./native.ts"
import type { Torch } from "./Torch.ts"

/** AdamW of one group of places. */
export interface Adam extends AdamWSettings {
  readonly m: Handle
  readonly v: Handle
  /** `updates` on the device, [1]. */
  readonly step: Handle
}

export interface Master {
  /** What the graph reads, and where it sums gradients, [count]. */
  readonly weights: Handle
  readonly gradients: Handle
  /** Sum of the gradients' squares, [] in float32. */
  readonly squares: () => Handle
  readonly update: (places: ReadonlyArray<Place>, adam: Adam) => void
  /** The weights in full. */
  readonly read: () => Float32Array
}

export type Hold = (make: () => Handle) => Handle

export const range = (torch: Torch, whole: Handle, from: number, size: number): Handle =>
  torch.strided(whole, [size], [1], from)

export const adamW = (
  torch: Torch,
  weights: ReadonlyArray<Handle>,
  gradients: ReadonlyArray<Handle>,
  places: ReadonlyArray<Pick<Place, "from" | "size">>,
  { beta1, beta2, epsilon, gradScale, learningRate, m, step, v, weightDecay }: Adam
): void => {
  const of = (whole: Handle) => places.map(({ from, size }) => range(torch, whole, from, size))
  torch.all("_fused_adamw_", [weights, gradients, of(m), of(v), [], places.map(() => step)], {
    lr: learningRate,
    beta1,
    beta2,
    weight_decay: weightDecay,
    eps: epsilon,
    amsgrad: false,
    maximize: false,
    grad_scale: gradScale
  })
}

export const fullMaster = (torch: Torch, hold: Hold, parameters: Float32Array | Float64Array): Master => {
  const count = parameters.length
  const weights = hold(() => torch.upload(parameters, [count]))
  const gradients = hold(() => torch.zeros([count]))
  return {
    weights,
    gradients,
    squares: () => torch.call("dot", gradients, gradients),
    update: (places, adam) => {
      const of = (whole: Handle) => places.map(({ from, size }) => range(torch, whole, from, size))
      adamW(torch, of(weights), of(gradients), places, adam)
    },
    read: () => torch.download(weights, count)
  }
}

/** Elements that are whole at once: 2^24 masters, 64 MiB, and as much again for each of a handful of temporaries. */
const perPiece = 2 ** 24

type Span = Pick<Place, "from" | "size">

const piecesOf = (from: number, size: number): ReadonlyArray<Span> =>
  Array.from({ length: Math.ceil(size / perPiece) }, (_, i) => ({
    from: from + i * perPiece,
    size: Math.min(perPiece, size - i * perPiece)
  }))

/** Places that follow each other, as one. */
const runsOf = (places: ReadonlyArray<Span>): ReadonlyArray<Span> => {
  const runs: Array<Span> = []
  for (const { from, size } of places) {
    const last = runs.at(-1)
    if (last === undefined || last.from + last.size !== from) runs.push({ from, size })
    else runs[runs.length - 1] = { from: last.from, size: last.size + size }
  }
  return runs
}

/** Sum of squares of bfloat16 elements, [] in float32. */
const squaresOf = (torch: Torch, elements: Handle, count: number): Handle =>
  piecesOf(0, count).map(({ from, size }) =>
    torch.within((keep) => {
      const whole = torch.cast(range(torch, elements, from, size), torch.native.dtypes.float32)
      return keep(torch.call("dot", whole, whole))
    })
  ).reduce((a, b) => torch.add(a, b))

/**
 * bits of a float32 = upper 2^16 + lower, with upper its bits rounded to bfloat16 and lower in [-2^15, 2^15). Truncation
 * instead would move a weight by a whole bfloat16 step towards 0 at the slightest decrease.
 */
export const split = (parameters: Float32Array): { readonly upper: Int16Array; readonly lower: Int16Array } => {
  const bits = new Int32Array(parameters.buffer, parameters.byteOffset, parameters.length)
  const upper = Int16Array.from(bits, (each) => (each + 0x8000) >> 16)
  return { upper, lower: Int16Array.from(bits, (each, i) => each - (upper[i]! << 16)) }
}

export const joined = (upper: Int16Array, lower: Int16Array): Float32Array => {
  const bits = Int32Array.from(upper, (each, i) => (each << 16) + lower[i]!)
  return new Float32Array(bits.buffer)
}

/** How a master in bfloat16 is updated and read, apart from its weights and gradients. */
export interface Narrow {
  /** By one kernel; false where there is none for it. */
  readonly launch: (
    tensors: Readonly<Record<"weights" | "gradients" | "m" | "v", Handle>>,
    span: Span,
    adam: Adam
  ) => boolean
  /** By operators of libtorch, a piece at a time. */
  readonly composed: (piece: Span, adam: Adam) => void
  readonly read: () => Float32Array
}

/** Weights, given by their bits, and gradients in bfloat16. Places that follow each other are updated together. */
export const narrowMaster = (
  torch: Torch,
  hold: Hold,
  upper: Int16Array,
  narrow: (weights: Handle, gradients: Handle) => Narrow
): Master => {
  const { bfloat16 } = torch.native.dtypes
  const shape = [upper.length]
  const weights = hold(() => torch.call("view.dtype", torch.upload(upper, shape), bfloat16))
  const gradients = hold(() => torch.zeros(shape, bfloat16))
  const { composed, launch, read } = narrow(weights, gradients)
  const update = (span: Span, adam: Adam): void =>
    torch.scope(() => {
      const of = (whole: Handle) => range(torch, whole, span.from, span.size)
      const tensors = { weights: of(weights), gradients: of(gradients), m: of(adam.m), v: of(adam.v) }
      if (launch(tensors, span, adam)) return
      for (const piece of piecesOf(span.from, span.size)) composed(piece, adam)
    })
  return {
    weights,
    gradients,
    squares: () => squaresOf(torch, gradients, upper.length),
    update: (places, adam) => {
      for (const run of runsOf(places)) update(run, adam)
    },
    read
  }
}

export const splitMaster = (torch: Torch, hold: Hold, parameters: Float32Array | Float64Array): Master => {
  const count = parameters.length
  const { float32, float64, int16, int32 } = torch.native.dtypes
  const halves = split(Float32Array.from(parameters))
  const lower = hold(() => torch.upload(halves.lower, [count]))
  // sums of ints need a Scalar of their own kind, which does not cross the ABI; float64 holds these ints exactly
  const number = (value: number) => hold(() => torch.cast(torch.upload(Float32Array.of(value), [1]), float64))
  const [step, down, half] = [number(2 ** 16), number(2 ** -16), number(2 ** 15)]
  const times = (x: Handle, factor: Handle): Handle => torch.call("mul.Tensor", x, factor)
  return narrowMaster(torch, hold, halves.upper, (weights, gradients) => ({
    launch: (tensors, { from, size }, adam) =>
      launchSplitAdamW(torch, { ...tensors, lower: range(torch, lower, from, size) }, size, adam),
    composed: ({ from, size }, adam) =>
      torch.scope(() => {
        const upper = torch.call("view.dtype", range(torch, weights, from, size), int16)
        const rest = range(torch, lower, from, size)
        const whole = torch.add(times(torch.cast(upper, float64), step), torch.cast(rest, float64))
        const master = torch.call("view.dtype", torch.cast(whole, int32), float32)
        const gradient = torch.cast(range(torch, gradients, from, size), float32)
        adamW(torch, [master], [gradient], [{ from, size }], adam)
        const bits = torch.cast(torch.call("view.dtype", master, int32), float64)
        const rounded = torch.call("floor", times(torch.add(bits, half), down))
        torch.native.copy(upper, rounded)
        torch.native.copy(rest, torch.add(bits, times(rounded, step), -1))
      }),
    read: () => joined(torch.downloadBits(weights, count), torch.downloadBits(lower, count))
  }))
}
