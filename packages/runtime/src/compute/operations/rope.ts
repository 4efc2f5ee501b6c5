// Rotary positions: each pair (u, v) of the first `dims` numbers of a head turns by its position's angle,
// (u cos - v sin, v cos + u sin); the rest of the head passes. https://arxiv.org/abs/2104.09864
import type { ShapeRule, Value } from "../Graph.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import { check, equal, float, type GradientRule } from "./rule.ts"

export interface Rope {
  /** x [T, heads * headDim]; positions int [T]; cos, sin [P, dims / 2], column i the i-th pair's (see `Source`). */
  readonly inputs: { readonly x: Value; readonly positions: Value; readonly cos: Value; readonly sin: Value }
  /** [T, heads * headDim] */
  readonly outputs: { readonly y: Value }
  readonly attributes: {
    readonly headDim: number
    /** How many leading numbers of each head turn; even. */
    readonly dims: number
    /** Pair i is (i, i + dims / 2) for `half`, as Hugging Face models have it, (2i, 2i + 1) for `interleaved`. */
    readonly style: "half" | "interleaved"
    /** Turns backwards (sin negated): the gradient. */
    readonly inverse: boolean
  }
}

export const shape: ShapeRule<"rope"> = (inputs, { dims, headDim }) => {
  const { cos, positions, sin, x } = inputs
  const width = x.shape[1]
  check(
    typeof width === "number" && width % headDim === 0 && dims % 2 === 0 && dims <= headDim
      && positions.dtype === "int" && equal(positions.shape, x.shape.slice(0, 1))
      && equal(cos.shape, ["P", dims / 2]) && equal(sin.shape, ["P", dims / 2]),
    "rope",
    inputs
  )
  return { y: float(...x.shape) }
}

export const gradient: GradientRule<"rope"> = (
  { build, cotangents: { y }, node: { attributes, inputs }, sum, wanted }
) => {
  if (wanted(inputs.x)) {
    sum(inputs.x, build.emit("rope", { ...inputs, x: y! }, { ...attributes, inverse: !attributes.inverse }).y)
  }
}

export const kernel: Kernel<"rope"> = ({ cos, positions, sin, x }, { dims, headDim, inverse, style }) => {
  const width = x.shape[1]!
  const half = dims / 2
  const [step, apart] = style === "half" ? [1, half] : [2, 1]
  const y = floats(x.shape, x.data.slice())
  positions.ints.forEach((position, t) => {
    for (let head = t * width; head < (t + 1) * width; head += headDim) {
      for (let i = 0; i < half; i++) {
        const c = cos.data[position * half + i]!
        const s = inverse ? -sin.data[position * half + i]! : sin.data[position * half + i]!
        const u = x.data[head + i * step]!
        const v = x.data[head + i * step + apart]!
        y.data[head + i * step] = u * c - v * s
        y.data[head + i * step + apart] = v * c + u * s
      }
    }
  })
  return { y }
}
