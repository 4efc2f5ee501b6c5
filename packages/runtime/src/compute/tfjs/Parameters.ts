// A model's weights and summed gradients as tensors, beside the host's copy of the weights and Adam's moments. Updates
// happen on the host, in float64 (optimiser.ts): TensorFlow.js has no optimiser that works in place, and each update reads
// every gradient and writes every weight once.
import type { Tensor as TfTensor } from "@tensorflow/tfjs-core"
import type { ModelState, OptimiserState, Update } from "../Engine.ts"
import type { Value } from "../Graph.ts"
import { adamW, clipFactor, decays, normOf } from "../optimiser.ts"
import { frozenSize, placesOf, trainedOf } from "../places.ts"
import { floats, type Tensor, type Tf } from "./Lowering.ts"

export interface Parameters {
  readonly weights: () => ReadonlyMap<Value, Tensor>
  /** Adds to the gradient of a weight. */
  readonly addGradient: (weight: Value, addend: TfTensor) => void
  readonly gradients: () => Float32Array
  readonly zeroGradients: () => void
  readonly update: (update: Update) => { readonly gradNorm: number; readonly clipped: boolean }
  readonly read: () => Float32Array
  readonly optimiser: () => OptimiserState
  readonly close: () => void
}

export const parametersOf = (
  tf: Tf,
  model: ModelState,
  wanted: { readonly weights: ReadonlyArray<Value>; readonly trained: ReadonlyArray<Value> },
  optimiser: OptimiserState | undefined
): Parameters => {
  const frozen = frozenSize(model)
  const count = model.parameters.length - frozen
  const trainedPlaces = placesOf(trainedOf(model))
  const places = new Map(placesOf(model).map((place) => [place.name, place]))
  const placeOf = ({ name }: Value) => {
    const found = places.get(name)
    if (found === undefined) throw new Error(`the model has no tensor "${name}"`)
    return found
  }
  const parameters = Float32Array.from(model.parameters)
  const training = parameters.subarray(frozen)
  // Absent until the first update: scoring needs none.
  let m = optimiser === undefined ? undefined : Float32Array.from(optimiser.m)
  let v = optimiser === undefined ? undefined : Float32Array.from(optimiser.v)
  let updates = optimiser?.updates ?? 0
  type Uploaded = ReadonlyArray<readonly [Value, Tensor]>
  const free = (tensors: Uploaded) => {
    for (const [, { held }] of tensors) tf.dispose([...held])
  }
  const upload = (values: ReadonlyArray<Value>): Uploaded => {
    const made: Array<readonly [Value, Tensor]> = []
    try {
      for (const value of values) {
        const { from, shape, size } = placeOf(value)
        const data = parameters.subarray(from, from + size)
        made.push([value, floats(tf.tensor(data, [...shape], "float32"))])
      }
      return made
    } catch (error) {
      free(made)
      throw error
    }
  }
  const all = upload(wanted.weights)
  const kept = all.filter(([value]) => !wanted.trained.includes(value))
  let moving: Uploaded = all.filter(([value]) => wanted.trained.includes(value))
  let weights = new Map([...kept, ...moving])
  const sums = new Map<Value, TfTensor>()
  const zeroGradients = () => {
    tf.dispose([...sums.values()])
    sums.clear()
  }
  const gradients = () => {
    const flat = new Float32Array(count)
    for (const [weight, sum] of sums) flat.set(sum.dataSync(), placeOf(weight).from - frozen)
    return flat
  }
  return {
    weights: () => weights,
    addGradient: (weight, addend) => {
      const before = sums.get(weight)
      sums.set(weight, tf.keep(before === undefined ? tf.clone(addend) : tf.add(before, addend)))
      before?.dispose()
    },
    gradients,
    zeroGradients,
    update: (update) => {
      const flat = gradients()
      zeroGradients()
      const gradNorm = normOf(flat)
      const factor = clipFactor(gradNorm, update)
      const state = { m: m ??= new Float32Array(count), v: v ??= new Float32Array(count) }
      updates += 1
      for (const { from, shape, size } of trainedPlaces) {
        const settings = decays(shape) ? update : { ...update, weightDecay: 0 }
        adamW(training, flat, state, settings, { factor, from, to: from + size, updates })
      }
      free(moving)
      moving = upload(wanted.trained)
      weights = new Map([...kept, ...moving])
      return { gradNorm, clipped: factor < 1 }
    },
    read: () => parameters.slice(),
    optimiser: () => ({ m: m?.slice() ?? new Float32Array(count), v: v?.slice() ?? new Float32Array(count), updates }),
    close: () => {
      zeroGradients()
      free([...weights])
    }
  }
}
