// Tensors of the reference engine: row-major typed arrays with sizes known, and what a kernel is given.
import type { OperationName, Operations } from "../Graph.ts"
import type { Sizes } from "../sizes.ts"

export interface Tensor {
  readonly shape: ReadonlyArray<number>
  /** Elements of a float or opaque tensor; empty for an int one. */
  readonly data: Float64Array
  /** Elements of an int tensor; empty for others. */
  readonly ints: Int32Array
}

/** Inputs by name, as the operation declares them -> outputs by name. Pure: never writes to its inputs. */
export type Kernel<N extends OperationName> = (
  inputs: { readonly [I in keyof Operations[N]["inputs"]]: Tensor },
  attributes: Operations[N]["attributes"],
  sizes: Sizes
) => { readonly [O in keyof Operations[N]["outputs"]]: Tensor }

const noInts = new Int32Array(0)
const noFloats = new Float64Array(0)

export const floats = (shape: ReadonlyArray<number>, data?: Float64Array): Tensor => ({
  shape,
  data: data ?? new Float64Array(shape.reduce((a, b) => a * b, 1)),
  ints: noInts
})
export const ints = (data: Int32Array): Tensor => ({ shape: [data.length], data: noFloats, ints: data })
