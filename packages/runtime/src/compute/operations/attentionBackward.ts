// Gradients of `attention`. Per block, with p the probabilities: v = pᵀ c, s = p * (c vᵀ - rowsum(c * y)), q = scale s k,
// k = scale sᵀ q, where c is the cotangent. With a soft cap, s is also multiplied by its slope 1 - tanh²(scale q k / softCap).
import type { ShapeRule, Value } from "../Graph.ts"
import { blocksOf, gather, keyPlaces, queryPlaces, scatterAdd } from "../reference/blocks.ts"
import { addProduct, transposed } from "../reference/product.ts"
import { floats, type Kernel } from "../reference/Tensor.ts"
import type { AttentionAttributes } from "./attention.ts"
import { check, equal, float, type GradientRule } from "./rule.ts"

export interface AttentionBackward {
  /** cotangent and y in the shape of q; the rest as in `attention`, and what it saved. */
  readonly inputs: {
    readonly cotangent: Value
    readonly y: Value
    readonly q: Value
    readonly k: Value
    readonly v: Value
    readonly segments: Value
    readonly saved: Value
  }
  /** Gradients, in the shapes of q, k, v. */
  readonly outputs: { readonly q: Value; readonly k: Value; readonly v: Value }
  readonly attributes: AttentionAttributes
}

export const shape: ShapeRule<"attentionBackward"> = (inputs) => {
  const { cotangent, k, q, v, y } = inputs
  check(equal(cotangent.shape, q.shape) && equal(y.shape, q.shape), "attentionBackward", inputs)
  return { q: float(...q.shape), k: float(...k.shape), v: float(...v.shape) }
}

export const gradient: GradientRule<"attentionBackward"> = "none"

export const kernel: Kernel<"attentionBackward"> = (inputs, attributes, { G }) => {
  const { cotangent, k, q, saved, segments, v, y } = inputs
  const { headDim, kvHeads, scale, softCap } = attributes
  const d = { q: floats(q.shape), k: floats(k.shape), v: floats(v.shape) }
  let at = 0
  for (const block of blocksOf(segments.ints, G, q.shape[0]!)) {
    for (let kvHead = 0; kvHead < kvHeads; kvHead++) {
      const asking = queryPlaces(block, kvHead, attributes)
      const seen = keyPlaces(block, kvHead, attributes)
      const [m, n] = [asking.length, seen.length]
      const product = (a: Float64Array, b: Float64Array, rows: number, columns: number, inner: number) => {
        const result = new Float64Array(rows * columns)
        addProduct(result, a, b, rows, columns, inner)
        return result
      }
      const p = saved.data.subarray(at, at += m * n)
      const c = gather(cotangent.data, asking, headDim)
      const out = gather(y.data, asking, headDim)
      const s = product(c, gather(v.data, seen, headDim), m, n, headDim)
      for (let i = 0; i < m; i++) {
        let through = 0
        for (let e = i * headDim; e < (i + 1) * headDim; e++) through += c[e]! * out[e]!
        for (let e = i * n; e < (i + 1) * n; e++) s[e] = p[e]! * (s[e]! - through) * scale
      }
      const [asked, looked] = [gather(q.data, asking, headDim), gather(k.data, seen, headDim)]
      if (softCap !== undefined) {
        const scores = product(asked, looked, m, n, headDim)
        for (let e = 0; e < s.length; e++) s[e] = s[e]! * (1 - Math.tanh(scores[e]! * scale / softCap) ** 2)
      }
      const keys = transposed(looked, n, headDim)
      const queries = transposed(asked, m, headDim)
      scatterAdd(product(s, keys, m, headDim, n), asking, headDim, d.q.data)
      scatterAdd(product(transposed(s, m, n), queries, n, headDim, m), seen, headDim, d.k.data)
      scatterAdd(product(transposed(p, m, n), transposed(c, m, headDim), n, headDim, m), seen, headDim, d.v.data)
    }
  }
  return d
}
