// Norms and their gradients. A norm per head is one over more, shorter rows.
import type { Tensor as TfTensor } from "@tensorflow/tfjs-core"
import { type Context, floats, type Lowering, of, type Tensor } from "./Lowering.ts"

/** [R, n d] as [R n, d] for a weight of [d]. */
const vectorsOf = (x: Tensor, weight: Tensor, { tf }: Context): TfTensor => {
  const width = weight.shape[0]!
  return tf.reshape(of(x), [x.shape[0]! * x.shape[1]! / width, width])
}
const shifted = (weight: Tensor, offset: number, { tf }: Context): TfTensor =>
  offset === 0 ? of(weight) : tf.add(of(weight), offset)

export const rmsNorm: Lowering<"rmsNorm"> = ({ weight, x }, { epsilon, offset = 0 }, context) => {
  const { tf } = context
  const vectors = vectorsOf(x, weight, context)
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(vectors), 1, true), epsilon))
  const y = tf.mul(tf.mul(vectors, inverse), shifted(weight, offset, context))
  return {
    y: floats(tf.reshape(y, [...x.shape])),
    inverse: floats(tf.reshape(inverse, [x.shape[0]!, vectors.shape[0]! / x.shape[0]!]))
  }
}

export const rmsNormBackward: Lowering<"rmsNormBackward"> = (
  { cotangent, inverse, weight, x },
  { offset = 0 },
  context
) => {
  const { tf } = context
  const vectors = vectorsOf(x, weight, context)
  const factor = tf.reshape(of(inverse), [vectors.shape[0]!, 1])
  const c = vectorsOf(cotangent, weight, context)
  const scale = shifted(weight, offset, context)
  const n = tf.mul(vectors, factor)
  const slopes = tf.mul(c, n)
  const mean = tf.mean(tf.mul(slopes, scale), 1, true)
  const dX = tf.mul(tf.sub(tf.mul(c, scale), tf.mul(n, mean)), factor)
  return { x: floats(tf.reshape(dX, [...x.shape])), weight: floats(tf.sum(slopes, 0)) }
}

export const layerNorm: Lowering<"layerNorm"> = ({ bias, weight, x }, { epsilon }, { tf }) => {
  const mean = tf.mean(of(x), 1, true)
  const centred = tf.sub(of(x), mean)
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), 1, true), epsilon))
  const y = tf.add(tf.mul(tf.mul(centred, inverse), of(weight)), of(bias))
  return { y: floats(y), mean: floats(mean), inverse: floats(inverse) }
}

export const layerNormBackward: Lowering<"layerNormBackward"> = (
  { cotangent, inverse, mean, weight, x },
  _,
  { tf }
) => {
  const n = tf.mul(tf.sub(of(x), of(mean)), of(inverse))
  const slopes = tf.mul(of(cotangent), n)
  const g = tf.mul(of(cotangent), of(weight))
  const along = tf.mul(n, tf.mean(tf.mul(slopes, of(weight)), 1, true))
  const dX = tf.mul(tf.sub(tf.sub(g, tf.mean(g, 1, true)), along), of(inverse))
  return {
    x: floats(dX),
    weight: floats(tf.sum(slopes, 0)),
    bias: floats(tf.sum(of(cotangent), 0))
  }
}
