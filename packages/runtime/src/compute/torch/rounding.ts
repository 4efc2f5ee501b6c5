// Stochastic rounding of bfloat16 weights: up or down at random, each as likely as near, so that means are right and updates
// far below a step of bfloat16 are not lost. Weights and gradients are bfloat16, 2 + 2 bytes a parameter, with Adam's moments
// 12: no master. https://arxiv.org/abs/2010.06192
// The random bits of an element follow from the seed, the number of the update and the element's place among all parameters,
// so they are the same after a resumption and in whatever pieces they are drawn.
import { launchStochasticAdamW } from "./kernels/adamW.ts"
import { adamW, type Hold, type Master, narrowMaster, range, split } from "./master.ts"
import type { Torch } from "./Torch.ts"

/** The high 32 bits of a product of two unsigned 32-bit integers. */
const high = (a: number, b: number): number => {
  const [a0, a1, b0, b1] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16]
  const middle = a1 * b0 + (a0 * b0 >>> 16)
  const rest = a0 * b1 + (middle & 0xffff)
  return a1 * b1 + Math.floor(middle / 0x10000) + Math.floor(rest / 0x10000)
}

/** Philox 4x32-10 in place. Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011). */
export const philox = (counter: Uint32Array, key: readonly [number, number]): void => {
  let [k0, k1] = key
  let [c0, c1, c2, c3] = counter as unknown as [number, number, number, number]
  for (let round = 0; round < 10; round++) {
    const [h0, h1] = [high(0xd2511f53, c0), high(0xcd9e8d57, c2)]
    const [l0, l1] = [Math.imul(0xd2511f53, c0), Math.imul(0xcd9e8d57, c2)]
    c0 = (h1 ^ c1 ^ k0) >>> 0
    c1 = l1 >>> 0
    c2 = (h0 ^ c3 ^ k1) >>> 0
    c3 = l0 >>> 0
    k0 = (k0 + 0x9e3779b9) >>> 0
    k1 = (k1 + 0xbb67ae85) >>> 0
  }
  counter.set([c0, c1, c2, c3])
}

/** [size] what is added below a bfloat16 before the cut, in [0, 2^16), for elements [from, from + size) of update `updates`. */
export const draws = (seed: number, updates: number, from: number, size: number): Int32Array => {
  const drawn = new Int32Array(size)
  const counter = new Uint32Array(4)
  // eight elements share a counter and take 16 bits each
  for (let group = Math.floor(from / 8); 8 * group < from + size; group++) {
    counter.set([group % 2 ** 32, Math.floor(group / 2 ** 32), updates, 0])
    philox(counter, [seed, 0])
    for (let i = Math.max(8 * group, from); i < Math.min(8 * group + 8, from + size); i++) {
      const lane = i % 8
      drawn[i - from] = counter[lane >> 1]! >>> 16 * (lane & 1) & 0xffff
    }
  }
  return drawn
}

export const stochasticMaster =
  (seed: number) => (torch: Torch, hold: Hold, parameters: Float32Array | Float64Array): Master => {
    const { float32, float64, int16, int32 } = torch.native.dtypes
    // Scalars do not cross the ABI; float64 holds these ints exactly
    const down = hold(() => torch.cast(torch.upload(Float32Array.of(2 ** -16), [1]), float64))
    return narrowMaster(torch, hold, split(Float32Array.from(parameters)).upper, (weights, gradients) => ({
      launch: (tensors, { from, size }, adam) =>
        launchStochasticAdamW(torch, tensors, { first: from, size }, seed, adam),
      composed: ({ from, size }, adam) =>
        torch.scope(() => {
          const place = range(torch, weights, from, size)
          const whole = torch.cast(place, float32)
          const gradient = torch.cast(range(torch, gradients, from, size), float32)
          adamW(torch, [whole], [gradient], [{ from, size }], adam)
          const bits = torch.cast(torch.call("view.dtype", whole, int32), float64)
          const random = torch.cast(torch.upload(draws(seed, adam.updates, from, size), [size]), float64)
          const cut = torch.call("floor", torch.call("mul.Tensor", torch.add(bits, random), down))
          torch.native.copy(torch.call("view.dtype", place, int16), cut)
        }),
      read: () => torch.download(weights, parameters.length)
    }))
  }
