// Adapters become part of the weights that they stand beside.
import type { ModelState } from "../compute/Engine.ts"
import { type Place, placesOf } from "../compute/places.ts"
import { loadedArchitecture } from "./families.ts"
import type { Stored } from "./Family.ts"
import { adapterNames, adapts, isAdapter } from "./lora.ts"

/** A tensor of the model without adapters, computed when it is asked for. */
export interface WholeTensor {
  readonly name: string
  readonly shape: ReadonlyArray<number>
  readonly values: () => Float32Array
}

/** W + factor B A of a layer, each sum rounded once. */
const sum = (
  parameters: ModelState["parameters"],
  [weight, down, up]: readonly [Place, Place, Place],
  stored: Stored,
  factor: number
): Float32Array => {
  const [rank, from] = down.shape as [number, number]
  const to = up.shape[0]!
  const values = Float32Array.from(parameters.subarray(weight.from, weight.from + weight.size))
  const [acrossOut, acrossIn] = stored === "[out, in]" ? [from, 1] : [1, to]
  const row = new Float64Array(from)
  for (let o = 0; o < to; o++) {
    row.fill(0)
    for (let k = 0; k < rank; k++) {
      const b = factor * parameters[up.from + o * rank + k]!
      for (let i = 0; i < from; i++) row[i]! += b * parameters[down.from + k * from + i]!
    }
    for (let i = 0; i < from; i++) values[o * acrossOut + i * acrossIn]! += row[i]!
  }
  return values
}

/** The tensors of the model without adapters, W + alpha / rank B A in the place of each W, one at a time. */
export const wholeTensors = ({ adapter, config, ...model }: ModelState): ReadonlyArray<WholeTensor> => {
  const places = placesOf(model)
  const at = new Map(places.map((place) => [place.name, place]))
  const adapted = new Map(
    (adapter === undefined
      ? []
      : loadedArchitecture(config).forward().layers.filter(({ name }) => adapts(adapter, name)))
      .map((layer) => [`${layer.name}.weight`, layer])
  )
  return places.filter(({ name }) => !isAdapter(name)).map((place): WholeTensor => {
    const { from, name, shape, size } = place
    const layer = adapted.get(name)
    const part = model.parameters.subarray(from, from + size)
    if (adapter === undefined || layer === undefined) {
      return { name, shape, values: () => part instanceof Float32Array ? part : Float32Array.from(part) }
    }
    const { down, up } = adapterNames(layer.name)
    const parts = [place, at.get(down)!, at.get(up)!] as const
    return { name, shape, values: () => sum(model.parameters, parts, layer.stored, adapter.alpha / adapter.rank) }
  })
}

/** The model without adapters, as float32; the model itself when it has none. */
export const merged = (model: ModelState): ModelState => {
  if (model.adapter === undefined) return model
  const tensors = wholeTensors(model)
  const [names, shapes] = [tensors.map(({ name }) => name), tensors.map(({ shape }) => shape)]
  const places = placesOf({ names, shapes })
  const parameters = new Float32Array(places.reduce((end, { size }) => end + size, 0))
  places.forEach(({ from }, i) => parameters.set(tensors[i]!.values(), from))
  return { config: model.config, names, shapes, parameters }
}
