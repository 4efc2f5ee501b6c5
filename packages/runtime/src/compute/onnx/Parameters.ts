// Weights, gradients and Adam's moments of one model, float32 in one WebAssembly memory: onnxruntime reads and writes
// views of it without a copy, and the optimiser walks it at memory speed.
// Leaves out graphs: this file knows tensors by name and place only.
import type { ModelState, OptimiserState, Update } from "../Engine.ts"
import { clipFactor, decays } from "../optimiser.ts"
import { adamScalars, memoryOf, vectorKernels } from "./vectorKernels.ts"

export interface Tensor {
  readonly name: string
  readonly shape: ReadonlyArray<number>
  readonly size: number
  /** Float32 elements from the start of a vector; tensors begin at multiples of 4 (16 bytes, one SIMD register). */
  readonly from: number
}

type Vector = "parameters" | "gradients" | "m" | "v"
const vectors: ReadonlyArray<Vector> = ["parameters", "gradients", "m", "v"]

export interface Parameters {
  readonly tensors: ReadonlyArray<Tensor>
  /** Views are valid until `train` makes room; before it there are parameters only. */
  readonly view: (vector: Vector, tensor: Tensor) => Float32Array
  /** Makes room for gradients and moments, once: true when it did, and views made before are void. */
  readonly train: () => boolean
  readonly update: (update: Update) => { readonly gradNorm: number; readonly clipped: boolean }
  /** Copies in the order of the model. */
  readonly copy: (vector: Vector) => Float32Array
  readonly updates: () => number
}

const page = 65_536
const limit = 65_536 * page

const place = ({ names, shapes }: ModelState): ReadonlyArray<Tensor> => {
  let from = 0
  return names.map((name, i) => {
    const shape = shapes[i]!
    const size = shape.reduce((a, b) => a * b, 1)
    const tensor = { name, shape, size, from }
    from += Math.ceil(size / 4) * 4
    return tensor
  })
}

/** Neighbours that decay alike, as [from, to) in elements. */
const spans = (tensors: ReadonlyArray<Tensor>, end: number, alike: (tensor: Tensor) => boolean) => {
  const found: Array<{ readonly from: number; readonly to: number; readonly decay: boolean }> = []
  tensors.forEach((tensor, i) => {
    const decay = alike(tensor)
    const to = tensors[i + 1]?.from ?? end
    const last = found.at(-1)
    if (last?.decay === decay) found[found.length - 1] = { ...last, to }
    else found.push({ from: tensor.from, to, decay })
  })
  return found
}

/** Throws when the vectors do not fit into the 4 GiB of a WebAssembly memory: 268 million parameters in training. */
export const parametersOf = (model: ModelState, optimiser?: OptimiserState): Parameters => {
  const tensors = place(model)
  const last = tensors.at(-1)
  const length = last === undefined ? 0 : last.from + Math.ceil(last.size / 4) * 4
  const bytes = 4 * length
  const pagesFor = (count: number): number => {
    if (count * bytes > limit) {
      throw new RangeError(
        `${length} parameters need ${count * bytes} bytes, and this engine holds at most ${limit}; use the torch engine`
      )
    }
    return Math.ceil(count * bytes / page)
  }
  const pages = pagesFor(optimiser === undefined ? 1 : vectors.length)
  const memory = memoryOf(pages)
  let training = optimiser !== undefined
  const kernels = vectorKernels(memory)
  let updates = optimiser?.updates ?? 0

  const view = (vector: Vector, { from, size }: Tensor): Float32Array =>
    new Float32Array(memory.buffer, vectors.indexOf(vector) * bytes + 4 * from, size)
  const load = (vector: Vector, values: Float32Array | Float64Array): void => {
    let at = 0
    for (const tensor of tensors) view(vector, tensor).set(values.subarray(at, at += tensor.size))
  }
  load("parameters", model.parameters)
  if (optimiser !== undefined) {
    load("m", optimiser.m)
    load("v", optimiser.v)
  }
  const train = (): boolean => {
    if (training) return false
    memory.grow(pagesFor(vectors.length) - pages)
    return training = true
  }
  return {
    tensors,
    view,
    train,
    updates: () => updates,
    copy: (vector) => {
      const total = tensors.reduce((sum, { size }) => sum + size, 0)
      const copied = new Float32Array(total)
      if (vector !== "parameters" && !training) return copied
      let at = 0
      for (const tensor of tensors) {
        copied.set(view(vector, tensor), at)
        at += tensor.size
      }
      return copied
    },
    update: (update) => {
      train()
      updates += 1
      const { beta1, beta2, epsilon, learningRate, weightDecay } = update
      const [p, g, m, v] = [0, bytes, 2 * bytes, 3 * bytes] as const
      const gradNorm = Math.sqrt(kernels.sumSquares(g, bytes))
      const factor = clipFactor(gradNorm, update)
      for (const { decay, from, to } of spans(tensors, length, ({ shape }) => weightDecay !== 0 && decays(shape))) {
        const scalars = {
          factor,
          beta1,
          rest1: 1 - beta1,
          beta2,
          rest2: 1 - beta2,
          epsilon,
          shrink: decay ? 1 - learningRate * weightDecay : 1,
          step: learningRate / (1 - beta1 ** updates),
          correction: 1 / Math.sqrt(1 - beta2 ** updates)
        }
        const at = 4 * from
        kernels.adamW(p + at, g + at, m + at, v + at, 4 * (to - from), ...adamScalars.map((name) => scalars[name]))
      }
      return { gradNorm, clipped: factor < 1 }
    }
  }
}
