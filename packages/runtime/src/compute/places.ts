// Where the tensors of a model lie in one flat vector.
import type { ModelState } from "./Engine.ts"

export interface Place {
  readonly name: string
  readonly shape: ReadonlyArray<number>
  readonly size: number
  /** Elements from the start of the vector. */
  readonly from: number
}

/** Tensors in the order of the model, each beginning at a multiple of `alignment` elements. */
export const placesOf = (
  { names, shapes }: Pick<ModelState, "names" | "shapes">,
  alignment = 1
): ReadonlyArray<Place> => {
  let from = 0
  return names.map((name, i) => {
    const shape = shapes[i]!
    const size = shape.reduce((a, b) => a * b, 1)
    const placed = { name, shape, size, from }
    from += Math.ceil(size / alignment) * alignment
    return placed
  })
}
