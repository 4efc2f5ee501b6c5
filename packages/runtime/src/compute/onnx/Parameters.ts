// Weights, gradients and Adam's moments of one model, float32 in one WebAssembly memory: onnxruntime reads and writes
// views of it without a copy, and the optimiser walks it at memory speed.
// Leaves out graphs: this file knows tensors by name and place only.
import type { ModelState, OptimiserState, Update } from "../Engine.ts"
import { clipFactor, decays } from "../optimiser.ts"
import { type Place, placesOf } from "../places.ts"
import { adamScalars, memoryOf, vectorKernels } from "./vectorKernels.ts"

type Vector = "parameters" | "gradients" | "m" | "v"
const vectors: ReadonlyArray<Vector> = ["parameters", "gradients", "m", "v"]

export interface Parameters {
  readonly places: ReadonlyArray<Place>
  /** A whole vector: the same object until `train` makes room. Before it there are parameters only. */
  readonly vector: (vector: Vector) => Float32Array
  /** Makes room for gradients and moments, once. */
  readonly train: () => void
  readonly update: (update: Update) => { readonly gradNorm: number; readonly clipped: boolean }
  readonly updates: () => number
  /** A copy of a vector in the order of the model, without the gaps between tensors; zeros for one that has no room yet. */
  readonly inOrder: (vector: Vector | Float32Array) => Float32Array
}

const page = 65_536
const limit = 65_536 * page

/** Tensors begin at multiples of 16 bytes, one SIMD register. */
const alignment = 4

/** Neighbours that decay alike, as [from, to) in elements. */
const spans = (places: ReadonlyArray<Place>, end: number, alike: (place: Place) => boolean) => {
  const found: Array<{ readonly from: number; readonly to: number; readonly decay: boolean }> = []
  places.forEach((each, i) => {
    const decay = alike(each)
    const to = places[i + 1]?.from ?? end
    const last = found.at(-1)
    if (last?.decay === decay) found[found.length - 1] = { ...last, to }
    else found.push({ from: each.from, to, decay })
  })
  return found
}

/** Throws when the vectors do not fit into the 4 GiB of a WebAssembly memory: 268 million parameters in training. */
export const parametersOf = (model: ModelState, optimiser?: OptimiserState): Parameters => {
  const places = placesOf(model, alignment)
  const last = places.at(-1)
  const length = last === undefined ? 0 : last.from + Math.ceil(last.size / alignment) * alignment
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

  let views = new Map<Vector, Float32Array>()
  const vector = (name: Vector): Float32Array => {
    const view = views.get(name) ?? new Float32Array(memory.buffer, vectors.indexOf(name) * bytes, length)
    views.set(name, view)
    return view
  }
  const load = (name: Vector, values: Float32Array | Float64Array): void => {
    let at = 0
    for (const { from, size } of places) vector(name).set(values.subarray(at, at += size), from)
  }
  load("parameters", model.parameters)
  if (optimiser !== undefined) {
    load("m", optimiser.m)
    load("v", optimiser.v)
  }
  const train = (): void => {
    if (training) return
    training = true
    memory.grow(pagesFor(vectors.length) - pages)
    views = new Map()
  }
  return {
    places,
    vector,
    train,
    updates: () => updates,
    inOrder: (which) => {
      const copied = new Float32Array(places.reduce((sum, { size }) => sum + size, 0))
      if (typeof which === "string" && which !== "parameters" && !training) return copied
      const values = typeof which === "string" ? vector(which) : which
      let at = 0
      for (const { from, size } of places) {
        copied.set(values.subarray(from, from + size), at)
        at += size
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
      for (const { decay, from, to } of spans(places, length, ({ shape }) => weightDecay !== 0 && decays(shape))) {
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
