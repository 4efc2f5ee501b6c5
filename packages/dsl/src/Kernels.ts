// The scalar functions behind the pointwise nodes, in float64, each in the form that neither overflows nor cancels.
import type { BinaryTag, UnaryTag } from "./Node.ts"

const sigmoid = (x: number): number => {
  // exp of a negative number only
  if (x >= 0) return 1 / (1 + Math.exp(-x))
  const e = Math.exp(x)
  return e / (1 + e)
}
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))

export const unary: { readonly [T in UnaryTag]: (x: number) => number } = {
  Negate: (x) => -x,
  Exp: Math.exp,
  Log: Math.log,
  LogSigmoid: (x) => -softplus(-x),
  Softplus: softplus,
  Sigmoid: sigmoid,
  // expm1 keeps digits near 0, log1p far from it; they meet at -ln 2
  Log1mExp: (x) => (x > -Math.LN2 ? Math.log(-Math.expm1(x)) : Math.log1p(-Math.exp(x))),
  Relu: (x) => (x > 0 ? x : x === x ? 0 : x),
  Step: (x) => (x > 0 ? 1 : x === x ? 0 : x),
  Detach: (x) => x
}

export const binary: { readonly [T in BinaryTag]: (x: number, y: number) => number } = {
  Plus: (x, y) => x + y,
  Times: (x, y) => x * y,
  Divide: (x, y) => x / y,
  Min: Math.min,
  Max: Math.max
}
