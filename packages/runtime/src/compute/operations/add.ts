// y = a + b, where b has a's shape or is one row added to every row of a.
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { check, equal, type GradientRule } from "./rule.ts"

export interface Add {
  /** a [R, n]; b [R, n] or [n]. */
  readonly inputs: { readonly a: Value; readonly b: Value }
  readonly outputs: { readonly y: Value }
  readonly attributes: Readonly<Record<never, never>>
}

export const shape: ShapeRule<"add"> = ({ a, b }) => {
  check(equal(a.shape, b.shape) || equal(a.shape.slice(1), b.shape), "add", { a, b })
  return { y: { dtype: "float", shape: a.shape } }
}

export const gradient: GradientRule<"add"> = (
  { build, cotangents: { y }, node: { inputs: { a, b } }, sum, wanted }
) => {
  sum(a, y!)
  if (wanted(b)) sum(b, a.shape.length === b.shape.length ? y! : build.emit("sumRows", { x: y! }, {}).y)
}

export const kernel: Kernel<"add"> = ({ a, b }) => {
  const y = floats(a.shape)
  const period = b.data.length
  for (let i = 0; i < y.data.length; i++) y.data[i] = a.data[i]! + b.data[i % period]!
  return { y }
}
