// The one matrix product: y = op(a) op(b) + accumulator, where op transposes if asked.
// Residuals, biases and sums of gradients fold into the accumulator. Hugging Face linear layers are x wᵀ: transB.
import type { ShapeRule, Value } from "../Graph.ts"
import { addProduct, transposed } from "../reference/product.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { check, equal, float, type GradientRule } from "./rule.ts"

export interface Mm {
  /** op(a) [m, k]; op(b) [k, n]; accumulator [m, n], or [n] added to every row. */
  readonly inputs: { readonly a: Value; readonly b: Value; readonly accumulator?: Value | undefined }
  /** [m, n] */
  readonly outputs: { readonly y: Value }
  readonly attributes: { readonly transA: boolean; readonly transB: boolean }
}

export const shape: ShapeRule<"mm"> = (inputs, { transA, transB }) => {
  const { a, accumulator, b } = inputs
  const [m, k] = transA ? a.shape.toReversed() : a.shape
  const [l, n] = transB ? b.shape.toReversed() : b.shape
  check(a.shape.length === 2 && b.shape.length === 2 && k === l, "mm", inputs)
  const y = float(m!, n!)
  check(
    accumulator === undefined || equal(accumulator.shape, y.shape) || equal(accumulator.shape, [n!]),
    "mm",
    inputs
  )
  return { y }
}

export const gradient: GradientRule<"mm"> = ({ build, cotangents, fold, node, sum, wanted }) => {
  const { inputs: { a, accumulator: c, b }, attributes: { transA, transB } } = node
  const y = cotangents.y!
  if (c !== undefined && wanted(c)) sum(c, c.shape.length === 2 ? y : build.emit("sumRows", { x: y }, {}).y)
  fold(b, (accumulator) =>
    (transB
      ? build.emit("mm", { a: y, b: a, accumulator }, { transA: true, transB: transA })
      : build.emit("mm", { a, b: y, accumulator }, { transA: !transA, transB: false })).y)
  fold(a, (accumulator) =>
    (transA
      ? build.emit("mm", { a: b, b: y, accumulator }, { transA: transB, transB: true })
      : build.emit("mm", { a: y, b, accumulator }, { transA: false, transB: !transB })).y)
}

export const kernel: Kernel<"mm"> = ({ a, accumulator, b }, { transA, transB }) => {
  const [aRows, aColumns] = a.shape as [number, number]
  const [bRows, bColumns] = b.shape as [number, number]
  const [m, k] = transA ? [aColumns, aRows] : [aRows, aColumns]
  const n = transB ? bRows : bColumns
  const y = floats([m, n])
  if (accumulator !== undefined) {
    for (let at = 0; at < m * n; at += accumulator.data.length) y.data.set(accumulator.data, at)
  }
  addProduct(
    y.data,
    transA ? transposed(a.data, aRows, aColumns) : a.data,
    transB ? b.data : transposed(b.data, bRows, bColumns),
    m,
    n,
    k
  )
  return { y }
}
