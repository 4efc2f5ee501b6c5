// Attention block by block (a prompt, or a branch with its prompt), the heads of a block as a batch. A key head and the query
// heads that read it are one matrix [shared * rows, headDim]: keys are never repeated. A whole group at once under a mask takes
// a third of the calls but 1.5 to 2 times the multiplications, and is no faster on any backend (bench/LOG.md).
import type { Tensor as TfTensor } from "@tensorflow/tfjs-core"
import type { AttentionAttributes } from "../operations/attention.ts"
import { type Block, blocksOf } from "../reference/blocks.ts"
import { capped, type Context, floats, type Lowering, of, opaque, slopeOfCap, type Tensor } from "./Lowering.ts"

/** Rows that ask, rows that are seen, [n, 1] each: rows are gathered, since the wasm kernel of `slice` copies its whole input. */
interface Places {
  readonly asking: TfTensor
  readonly seen: TfTensor
  /** [asks, prompt + own] 0 where a row may look, -1e9 elsewhere: finite, so that a masked score gives 0 and no NaN. */
  readonly mask: TfTensor
}

const placesOf = (
  { asking, asks, from, own, prompt, start }: Block,
  { ints }: Tensor,
  { window = Infinity }: AttentionAttributes,
  { once, tf }: Context
): Places => {
  const column = (length: number, place: (i: number) => number) =>
    tf.tensor2d(Int32Array.from({ length }, (_, i) => place(i)), [length, 1], "int32")
  const keys = prompt + own
  return {
    asking: once(ints, `asking ${asking} ${asks}`, () => column(asks, (i) => asking + i)),
    seen: once(ints, `seen ${from}`, () => column(keys, (i) => i < prompt ? start + i : from + i - prompt)),
    mask: once(ints, `mask ${asks} ${keys} ${window}`, () => {
      const mask = new Float32Array(asks * keys)
      for (let i = 0; i < asks; i++) {
        const seen = keys - asks + i + 1
        mask.fill(-1e9, i * keys, i * keys + Math.max(0, seen - window))
        mask.fill(-1e9, i * keys + seen, (i + 1) * keys)
      }
      return tf.tensor2d(mask, [asks, keys])
    })
  }
}

/** Some rows as [kvHeads, columns / (kvHeads * headDim) * rows, headDim]. */
const byHead = (x: TfTensor, places: TfTensor, { headDim, kvHeads }: AttentionAttributes, { tf }: Context) => {
  const [rows, width] = [places.shape[0]!, x.shape[1]!]
  const shared = width / (kvHeads * headDim)
  const cut = tf.reshape(tf.gatherND(x, places), [rows, kvHeads, shared, headDim])
  return tf.reshape(tf.transpose(cut, [1, 2, 0, 3]), [kvHeads, shared * rows, headDim])
}

/** The inverse of `byHead`: [rows, columns]. */
const byRow = (x: TfTensor, rows: number, { headDim, kvHeads }: AttentionAttributes, { tf }: Context) => {
  const shared = x.shape[1]! / rows
  const apart = tf.reshape(x, [kvHeads, shared, rows, headDim])
  return tf.reshape(tf.transpose(apart, [2, 0, 1, 3]), [rows, kvHeads * shared * headDim])
}

const joined = (parts: ReadonlyArray<TfTensor>, { tf }: Context): TfTensor => tf.concat([...parts], 0)

/** `saved` holds the probabilities [kvHeads, shared * asks, keys] of each block. */
export const attention: Lowering<"attention"> = ({ k, q, segments, v }, attributes, context) => {
  const { sizes, tf } = context
  const { heads, kvHeads, scale, softCap } = attributes
  const scaled = tf.mul(of(q), scale)
  const saved: Array<TfTensor> = []
  const outputs = blocksOf(segments.ints, sizes.G, q.shape[0]!).map((block) => {
    const { asking, mask, seen } = placesOf(block, segments, attributes, context)
    const [asks, keys] = mask.shape as [number, number]
    const p = tf.tidy(() => {
      const queries = byHead(scaled, asking, attributes, context)
      const scores = tf.matMul(queries, byHead(of(k), seen, attributes, context), false, true)
      const masked = tf.add(tf.reshape(capped(scores, softCap, tf), [heads, asks, keys]), mask)
      return tf.reshape(tf.softmax(masked), [kvHeads, heads / kvHeads * asks, keys])
    })
    saved.push(p)
    return tf.tidy(() => byRow(tf.matMul(p, byHead(of(v), seen, attributes, context)), asks, attributes, context))
  })
  return { y: floats(joined(outputs, context)), saved: opaque(saved) }
}

export const attentionBackward: Lowering<"attentionBackward"> = (inputs, attributes, context) => {
  const { cotangent, k, q, saved, segments, v, y } = inputs
  const { sizes, tf } = context
  const { scale, softCap } = attributes
  const cut = (x: Tensor, places: TfTensor) => byHead(of(x), places, attributes, context)
  const places = blocksOf(segments.ints, sizes.G, q.shape[0]!).map((block) =>
    placesOf(block, segments, attributes, context)
  )
  const parts = places.map(({ asking, mask, seen }, i) =>
    tf.tidy(() => {
      const [asks, keys] = mask.shape as [number, number]
      const p = saved.held[i]!
      const c = cut(cotangent, asking)
      const through = tf.sum(tf.mul(c, cut(y, asking)), 2, true)
      const [queries, looked] = [cut(q, asking), cut(k, seen)]
      const uncapped = tf.mul(p, tf.sub(tf.matMul(c, cut(v, seen), false, true), through))
      const slopes = softCap === undefined
        ? uncapped
        : tf.mul(uncapped, slopeOfCap(tf.mul(tf.matMul(queries, looked, false, true), scale), softCap, tf))
      return [
        byRow(tf.matMul(slopes, looked), asks, attributes, context),
        byRow(tf.matMul(slopes, queries, true, false), keys, attributes, context),
        byRow(tf.matMul(p, c, true, false), keys, attributes, context)
      ] as const
    })
  )
  const all = joined(places.map(({ seen }) => seen), context)
  const onto = (x: TfTensor): TfTensor => tf.scatterND(all, x, [...k.shape])
  return {
    q: floats(tf.mul(joined(parts.map(([d]) => d), context), scale)),
    k: floats(tf.mul(onto(joined(parts.map(([, d]) => d), context)), scale)),
    v: floats(onto(joined(parts.map(([, , d]) => d), context)))
  }
}
