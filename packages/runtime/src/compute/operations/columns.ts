// Some columns of a row of equal parts: y[:, i (to - from) + j] = x[:, i period + from + j]. Takes the parts of fused
// projections apart: one part for [q | k | v], a part per head where each head has its own [q | k | v].
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { check, float, type GradientRule } from "./rule.ts"

export interface Columns {
  /** [R, n period] */
  readonly inputs: { readonly x: Value }
  /** [R, n (to - from)] */
  readonly outputs: { readonly y: Value }
  readonly attributes: ColumnsAttributes
}
export interface ColumnsAttributes {
  readonly period: number
  readonly from: number
  readonly to: number
}

export const shape: ShapeRule<"columns"> = (inputs, { from, period, to }) => {
  const parts = inputs.x.shape[1] as number / period
  check(Number.isInteger(parts) && 0 <= from && from < to && to <= period, "columns", inputs)
  return { y: float(inputs.x.shape[0]!, parts * (to - from)) }
}

export const gradient: GradientRule<"columns"> = (
  { build, cotangents: { y }, fold, node: { attributes, inputs: { x } } }
) => fold(x, (accumulator) => build.emit("spreadColumns", { x: y!, accumulator }, attributes).y)

export const kernel: Kernel<"columns"> = ({ x }, { from, period, to }) => {
  const width = to - from
  const y = floats([x.shape[0]!, x.shape[1]! / period * width])
  for (let part = 0; part * period < x.data.length; part++) {
    y.data.set(x.data.subarray(part * period + from, part * period + to), part * width)
  }
  return { y }
}
