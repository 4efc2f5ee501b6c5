// y[t] = table[ids[t]]. Ids repeat.
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { check, float, type GradientRule } from "./rule.ts"

export interface Embedding {
  /** table [V, d]; ids int [T], each in [0, V). */
  readonly inputs: { readonly table: Value; readonly ids: Value }
  /** [T, d] */
  readonly outputs: { readonly y: Value }
  readonly attributes: Readonly<Record<never, never>>
}

export const shape: ShapeRule<"embedding"> = (inputs) => {
  const { ids, table } = inputs
  check(table.shape.length === 2 && ids.dtype === "int" && ids.shape.length === 1, "embedding", inputs)
  return { y: float(ids.shape[0]!, table.shape[1]!) }
}

export const gradient: GradientRule<"embedding"> = (
  { build, cotangents: { y }, fold, node: { inputs: { ids, table } } }
) =>
  fold(
    table,
    (accumulator) =>
      build.emit("scatterAddRows", { x: y!, rows: ids, accumulator }, { count: table.shape[0]!, unique: false }).y
  )

export const kernel: Kernel<"embedding"> = ({ ids, table }) => {
  const width = table.shape[1]!
  const y = floats([ids.ints.length, width])
  ids.ints.forEach((id, t) => {
    if (id < 0 || id >= table.shape[0]!) throw new Error(`token ${id} is outside the vocabulary of ${table.shape[0]}`)
    y.data.set(table.data.subarray(id * width, (id + 1) * width), t * width)
  })
  return { y }
}
