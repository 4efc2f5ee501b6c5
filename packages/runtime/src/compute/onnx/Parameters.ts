// Weights, gradients and Adam's moments of one model, float32 in one WebAssembly memory: onnxruntime reads and writes
// views of it without a copy, and the optimiser walks it at memory speed.
// Leaves out graphs: this file knows tensors by name and place only.
import type { ModelState, OptimiserState, Update } from "../Engine.ts"
import { clipFactor, decays } from "../optimiser.ts"
import { type Place, placesOf, trainedOf } from "../places.ts"
import { adamScalars, memoryOf, vectorKernels } from "./vectorKernels.ts"

type Vector = "parameters" | "gradients" | "m" | "v"
const vectors: ReadonlyArray<Vector> = ["parameters", "gradients", "m", "v"]

export interface Parameters {
  readonly places: ReadonlyArray<Place>
  /** Of the tensors that are trained, in the vectors of gradients and moments. */
  readonly trained: ReadonlyArray<Place>
  /** Of the vectors of gradients and moments. */
  readonly trainedLength: number
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
  const moving = placesOf(trainedOf(model), alignment)
  const lengthOf = (all: ReadonlyArray<Place>): number => {
    const last = all.at(-1)
    return last === undefined ? 0 : last.from + Math.ceil(last.size / alignment) * alignment
  }
  const [length, trainedLength] = [lengthOf(places), lengthOf(moving)]
  /** Where the tensors that are trained begin among all. */
  const frozen = length - trainedLength
  /** Bytes of the vectors from their start: the parameters, then gradients and moments. */
  const startOf = (vector: Vector): number =>
    vector === "parameters" ? 0 : 4 * (length + (vectors.indexOf(vector) - 1) * trainedLength)
  const whole = 4 * (length + 3 * trainedLength)
  const pagesFor = (bytes: number): number => {
    if (bytes > limit) {
      throw new RangeError(
        `${length} parameters need ${bytes} bytes, and this engine holds at most ${limit}; use the torch engine`
      )
    }
    return Math.ceil(bytes / page)
  }
  const pages = pagesFor(optimiser === undefined ? 4 * length : whole)
  const memory = memoryOf(pages)
  let training = optimiser !== undefined
  const kernels = vectorKernels(memory)
  let updates = optimiser?.updates ?? 0

  let views = new Map<Vector, Float32Array>()
  const vector = (name: Vector): Float32Array => {
    const view = views.get(name) ??
      new Float32Array(memory.buffer, startOf(name), name === "parameters" ? length : trainedLength)
    views.set(name, view)
    return view
  }
  const load = (name: Vector, values: Float32Array | Float64Array): void => {
    let at = 0
    for (const { from, size } of name === "parameters" ? places : moving) {
      vector(name).set(values.subarray(at, at += size), from)
    }
  }
  load("parameters", model.parameters)
  if (optimiser !== undefined) {
    load("m", optimiser.m)
    load("v", optimiser.v)
  }
  const train = (): void => {
    if (training) return
    training = true
    memory.grow(pagesFor(whole) - pages)
    views = new Map()
  }
  return {
    places,
    trained: moving,
    trainedLength,
    vector,
    train,
    updates: () => updates,
    inOrder: (which) => {
      const those = which === "parameters" ? places : moving
      const copied = new Float32Array(those.reduce((sum, { size }) => sum + size, 0))
      if (typeof which === "string" && which !== "parameters" && !training) return copied
      const values = typeof which === "string" ? vector(which) : which
      let at = 0
      for (const { from, size } of those) {
        copied.set(values.subarray(from, from + size), at)
        at += size
      }
      return copied
    },
    update: (update) => {
      train()
      updates += 1
      const { beta1, beta2, epsilon, learningRate, weightDecay } = update
      const [p, g, m, v] = [4 * frozen, startOf("gradients"), startOf("m"), startOf("v")] as const
      const gradNorm = Math.sqrt(kernels.sumSquares(g, 4 * trainedLength))
      const factor = clipFactor(gradNorm, update)
      for (
        const { decay, from, to } of spans(moving, trainedLength, ({ shape }) => weightDecay !== 0 && decays(shape))
      ) {
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
