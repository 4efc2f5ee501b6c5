// Rotary positions: both members of the pairs are brought apart by a transposition, which is cheap on every backend, where
// strided slices are not, and turned together: (u, v) cos + (v, u) (-sin, sin).
import type { Tensor as TfTensor } from "@tensorflow/tfjs-core"
import { floats, type Lowering, of } from "./Lowering.ts"

const swap = Int32Array.of(1, 0)

export const rope: Lowering<"rope"> = ({ cos, positions, sin, x }, attributes, { index, once, tf }) => {
  const { dims, headDim, inverse, style } = attributes
  const [rows, width] = x.shape as [number, number]
  const heads = width / headDim
  const half = dims / 2
  // positions are a batch's all or its predicting rows', and these are as many only where they are the same
  /** [rows, 1, half] */
  const cosines = once(
    cos,
    `of ${rows} positions`,
    () => tf.reshape(tf.gatherND(of(cos), index(positions.ints)), [rows, 1, half])
  )
  /** [2, rows, 1, half] */
  const sines = once(sin, `of ${rows} positions ${inverse}`, () => {
    const chosen = tf.gatherND(of(sin), index(positions.ints))
    const both = inverse ? [chosen, tf.neg(chosen)] : [tf.neg(chosen), chosen]
    return tf.reshape(tf.concat(both, 0), [2, rows, 1, half])
  })
  const whole = tf.reshape(of(x), [rows * heads, headDim])
  const turning = dims === headDim ? whole : tf.slice(whole, [0, 0], [rows * heads, dims])
  const pairs = style === "half" ? [rows * heads, 2, half] : [rows * heads, half, 2]
  const apart = style === "half" ? [1, 0, 2] : [2, 0, 1]
  const together = style === "half" ? [1, 0, 2] : [1, 2, 0]
  const uv = tf.reshape(tf.transpose(tf.reshape(turning, pairs), apart), [2, rows, heads, half])
  const vu: TfTensor = tf.gatherND(uv, index(swap))
  const turned = tf.add(tf.mul(uv, cosines), tf.mul(vu, sines))
  const back = tf.reshape(tf.transpose(tf.reshape(turned, [2, rows * heads, half]), together), [rows * heads, dims])
  if (dims === headDim) return { y: floats(tf.reshape(back, [rows, width])) }
  const rest = tf.slice(whole, [0, dims], [rows * heads, headDim - dims])
  return { y: floats(tf.reshape(tf.concat([back, rest], 1), [rows, width])) }
}
