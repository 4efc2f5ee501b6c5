// y[m] = x[rows[m]], every row at most once. (`embedding` is the one whose rows repeat.)
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { check, float, type GradientRule } from "./rule.ts"

export interface GatherRows {
  /** x [R, d]; rows int [M], distinct, in [0, R). */
  readonly inputs: { readonly x: Value; readonly rows: Value }
  /** [M, d] */
  readonly outputs: { readonly y: Value }
  readonly attributes: Readonly<Record<never, never>>
}

export const shape: ShapeRule<"gatherRows"> = (inputs) => {
  const { rows, x } = inputs
  check(x.shape.length === 2 && rows.dtype === "int" && rows.shape.length === 1, "gatherRows", inputs)
  return { y: float(rows.shape[0]!, x.shape[1]!) }
}

export const gradient: GradientRule<"gatherRows"> = (
  { build, cotangents: { y }, fold, node: { inputs: { rows, x } } }
) =>
  fold(
    x,
    (accumulator) => build.emit("scatterAddRows", { x: y!, rows, accumulator }, { count: x.shape[0]!, unique: true }).y
  )

export const kernel: Kernel<"gatherRows"> = ({ rows, x }) => {
  const width = x.shape[1]!
  const y = floats([rows.ints.length, width])
  rows.ints.forEach((row, m) => y.data.set(x.data.subarray(row * width, (row + 1) * width), m * width))
  return { y }
}
