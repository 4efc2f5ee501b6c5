// Adapters become part of the weights that they stand beside.
import type { ModelState } from "../compute/Engine.ts"
import { placesOf } from "../compute/places.ts"
import { loadedArchitecture } from "./families.ts"
import { adapterNames, adapts, isAdapter } from "./lora.ts"

/** The model without adapters, W + alpha / rank B A in the place of each W; the model itself when it has none. */
export const merged = (model: ModelState): ModelState => {
  const { adapter, config } = model
  if (adapter === undefined) return model
  const places = placesOf(model)
  const at = new Map(places.map((place) => [place.name, place]))
  const parameters = model.parameters.slice()
  const factor = adapter.alpha / adapter.rank
  for (const { name, stored } of loadedArchitecture(config).forward().layers) {
    if (!adapts(adapter, name)) continue
    const names = adapterNames(name)
    const [down, up, weight] = [at.get(names.down)!, at.get(names.up)!, at.get(`${name}.weight`)!]
    const [rank, from] = down.shape as [number, number]
    const to = up.shape[0]!
    const [acrossOut, acrossIn] = stored === "[out, in]" ? [from, 1] : [1, to]
    for (let o = 0; o < to; o++) {
      for (let k = 0; k < rank; k++) {
        const b = factor * model.parameters[up.from + o * rank + k]!
        for (let i = 0; i < from; i++) {
          const w = weight.from + o * acrossOut + i * acrossIn
          parameters[w] = parameters[w]! + b * model.parameters[down.from + k * from + i]!
        }
      }
    }
  }
  const kept = places.filter(({ name }) => !isAdapter(name))
  const whole = new Float32Array(kept.reduce((sum, { size }) => sum + size, 0))
  let end = 0
  for (const { from, size } of kept) {
    whole.set(parameters.subarray(from, from + size), end)
    end += size
  }
  return { config, names: kept.map(({ name }) => name), shapes: kept.map(({ shape }) => shape), parameters: whole }
}
