// The gradient of `columns`: y = accumulator (or zeros), then y[:, i period + from + j] += x[:, i (to - from) + j].
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import type { ColumnsAttributes } from "./columns.ts"
import { check, equal, float, type GradientRule } from "./rule.ts"

export interface SpreadColumns {
  /** x [R, n (to - from)]; accumulator [R, n period]. */
  readonly inputs: { readonly x: Value; readonly accumulator?: Value | undefined }
  /** [R, n period] */
  readonly outputs: { readonly y: Value }
  readonly attributes: ColumnsAttributes
}

export const shape: ShapeRule<"spreadColumns"> = (inputs, { from, period, to }) => {
  const { accumulator, x } = inputs
  const y = float(x.shape[0]!, x.shape[1] as number / (to - from) * period)
  check(accumulator === undefined || equal(accumulator.shape, y.shape), "spreadColumns", inputs)
  return { y }
}

export const gradient: GradientRule<"spreadColumns"> = "none"

export const kernel: Kernel<"spreadColumns"> = ({ accumulator, x }, { from, period, to }) => {
  const width = to - from
  const y = floats([x.shape[0]!, x.shape[1]! / width * period], accumulator?.data.slice())
  for (let i = 0; i < x.data.length; i++) {
    const at = Math.floor(i / width) * period + from + i % width
    y.data[at] = y.data[at]! + x.data[i]!
  }
  return { y }
}
