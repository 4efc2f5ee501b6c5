// Where the tensors of a model lie in one flat vector, and which of them are trained.
import type { ModelState } from "./Engine.ts"

export interface Place {
  readonly name: string
  readonly shape: ReadonlyArray<number>
  readonly size: number
  /** Elements from the start of the vector. */
  readonly from: number
}

const sizeOf = (shape: ReadonlyArray<number>): number => shape.reduce((a, b) => a * b, 1)

/** Tensors in the order of the model, each beginning at a multiple of `alignment` elements. */
export const placesOf = (
  { names, shapes }: Pick<ModelState, "names" | "shapes">,
  alignment = 1
): ReadonlyArray<Place> => {
  let from = 0
  return names.map((name, i) => {
    const shape = shapes[i]!
    const size = sizeOf(shape)
    const placed = { name, shape, size, from }
    from += Math.ceil(size / alignment) * alignment
    return placed
  })
}

/** Elements of the tensors that stay as they are, which come first. */
export const frozenSize = ({ frozen = 0, shapes }: Pick<ModelState, "frozen" | "shapes">): number =>
  shapes.slice(0, frozen).reduce((sum, shape) => sum + sizeOf(shape), 0)

/** The tensors that are trained: a view. */
export const trainedOf = (model: ModelState): Pick<ModelState, "names" | "shapes" | "parameters"> => ({
  names: model.names.slice(model.frozen),
  shapes: model.shapes.slice(model.frozen),
  parameters: model.parameters.subarray(frozenSize(model))
})

/** The model with other values of the tensors that are trained. */
export const withTrained = (model: ModelState, values: Float32Array | Float64Array): ModelState => {
  const from = frozenSize(model)
  if (from === 0) return { ...model, parameters: values }
  const parameters = model.parameters.slice()
  parameters.set(values, from)
  return { ...model, parameters }
}
