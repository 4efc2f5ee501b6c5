// y = accumulator (or zeros), then y[rows[k]] += x[k] for k in order: the sum is deterministic on every engine.
import type { Dimension, ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { sizeOf } from "../sizes.ts"
import { check, equal, float, type GradientRule } from "./rule.ts"

export interface ScatterAddRows {
  /** x [K, d]; rows int [K], each in [0, count); accumulator [count, d]. */
  readonly inputs: { readonly x: Value; readonly rows: Value; readonly accumulator?: Value | undefined }
  /** [count, d] */
  readonly outputs: { readonly y: Value }
  readonly attributes: {
    readonly count: Dimension
    /** No row occurs twice, so an engine may gather by the inverse instead. */
    readonly unique: boolean
  }
}

export const shape: ShapeRule<"scatterAddRows"> = (inputs, { count }) => {
  const { accumulator, rows, x } = inputs
  const y = float(count, x.shape[1]!)
  check(
    x.shape.length === 2 && rows.dtype === "int" && equal(rows.shape, x.shape.slice(0, 1))
      && (accumulator === undefined || equal(accumulator.shape, y.shape)),
    "scatterAddRows",
    inputs
  )
  return { y }
}

export const gradient: GradientRule<"scatterAddRows"> = "none"

export const kernel: Kernel<"scatterAddRows"> = ({ accumulator, rows, x }, { count }, sizes) => {
  const width = x.shape[1]!
  const y = floats([sizeOf(count, sizes), width], accumulator?.data.slice())
  rows.ints.forEach((row, k) => {
    for (let j = 0; j < width; j++) y.data[row * width + j] = y.data[row * width + j]! + x.data[k * width + j]!
  })
  return { y }
}
