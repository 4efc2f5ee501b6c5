// y[m] = x[rows[m]], every row at most once. (`embedding` is the one whose rows repeat.) Of ints, elements.
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, ints, type Kernel } from "../reference/Tensor.ts"
import { check, type GradientRule } from "./rule.ts"

export interface GatherRows {
  /** x [R, d], or int [R]; rows int [M], distinct, in [0, R). */
  readonly inputs: { readonly x: Value; readonly rows: Value }
  /** [M, d], or int [M] */
  readonly outputs: { readonly y: Value }
  readonly attributes: Readonly<Record<never, never>>
}

export const shape: ShapeRule<"gatherRows"> = (inputs) => {
  const { rows, x } = inputs
  const dimensions = x.dtype === "int" ? 1 : 2
  check(x.shape.length === dimensions && rows.dtype === "int" && rows.shape.length === 1, "gatherRows", inputs)
  return { y: { dtype: x.dtype, shape: [rows.shape[0]!, ...x.shape.slice(1)] } }
}

export const gradient: GradientRule<"gatherRows"> = (
  { build, cotangents: { y }, fold, node: { inputs: { rows, x } } }
) =>
  fold(
    x,
    (accumulator) => build.emit("scatterAddRows", { x: y!, rows, accumulator }, { count: x.shape[0]!, unique: true }).y
  )

/** Of ints, which every engine keeps on the host. */
export const gatherInts = (x: Int32Array, rows: Int32Array): Int32Array => Int32Array.from(rows, (row) => x[row]!)

export const kernel: Kernel<"gatherRows"> = ({ rows, x }) => {
  if (x.shape.length === 1) return { y: ints(gatherInts(x.ints, rows.ints)) }
  const width = x.shape[1]!
  const y = floats([rows.ints.length, width])
  rows.ints.forEach((row, m) => y.data.set(x.data.subarray(row * width, (row + 1) * width), m * width))
  return { y }
}
