// The sizes that a batch brings to a graph, and what shapes come to with them.
import type { Batch } from "./Batch.ts"
import type { Dimension } from "./Graph.ts"

export type Sizes = { readonly [D in Extract<Dimension, string>]: number }

export const sizeOf = (dimension: Dimension, sizes: Sizes): number =>
  typeof dimension === "number" ? dimension : sizes[dimension]

/** Elements of a tensor of that shape. */
export const elementsOf = (shape: ReadonlyArray<Dimension>, sizes: Sizes): number =>
  shape.reduce<number>((product, dimension) => product * sizeOf(dimension, sizes), 1)

export const sizesOf = (batch: Batch): Sizes => ({
  T: batch.tokens.length,
  M: batch.rows.length,
  N: batch.targets.length,
  G: batch.groups,
  S: batch.segments.length,
  P: batch.positions.reduce((a, b) => Math.max(a, b), 0) + 1
})
