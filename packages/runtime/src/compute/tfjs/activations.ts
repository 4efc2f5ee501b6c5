// Activations and their gradients.
import type { Tensor as TfTensor } from "@tensorflow/tfjs-core"
import type { GeluAttributes } from "../operations/gelu.ts"
import { type Context, floats, type Lowering, of, type Tensor } from "./Lowering.ts"

/** silu(x) and sigmoid(x) */
const silu = (x: Tensor, { tf }: Context) => {
  const s = tf.sigmoid(of(x))
  return { s, z: tf.mul(of(x), s) }
}

export const swiglu: Lowering<"swiglu"> = ({ gate, up }, _, context) => ({
  y: floats(context.tf.mul(silu(gate, context).z, of(up)))
})

export const swigluBackward: Lowering<"swigluBackward"> = ({ cotangent, gate, up }, _, context) => {
  const { tf } = context
  const { s, z } = silu(gate, context)
  // z + s (1 - z) = z + s - s z
  const slope = tf.sub(tf.add(z, s), tf.mul(s, z))
  return {
    gate: floats(tf.mul(tf.mul(of(cotangent), of(up)), slope)),
    up: floats(tf.mul(of(cotangent), z))
  }
}

/** sqrt(2 / pi) (x + 0.044715 x³) */
const slope = Math.sqrt(2 / Math.PI)
const tanhOf = (x: TfTensor, { tf }: Context): TfTensor =>
  tf.tanh(tf.mul(x, tf.add(tf.mul(tf.square(x), slope * 0.044715), slope)))

/** The distribution function, and what its density is made from. */
const cdfOf = (x: TfTensor, { approximation }: GeluAttributes, context: Context): TfTensor => {
  const { tf } = context
  const bent = approximation === "tanh" ? tanhOf(x, context) : tf.erf(tf.mul(x, Math.SQRT1_2))
  return tf.add(tf.mul(bent, 0.5), 0.5)
}

const densityOf = (x: TfTensor, { approximation }: GeluAttributes, context: Context): TfTensor => {
  const { tf } = context
  if (approximation === "none") return tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI))
  const flat = tf.sub(1, tf.square(tanhOf(x, context)))
  return tf.mul(flat, tf.add(tf.mul(tf.square(x), 1.5 * slope * 0.044715), slope / 2))
}

export const gelu: Lowering<"gelu"> = ({ x }, attributes, context) => ({
  y: floats(context.tf.mul(of(x), cdfOf(of(x), attributes, context)))
})

export const geluBackward: Lowering<"geluBackward"> = ({ cotangent, x }, attributes, context) => {
  const { tf } = context
  const along = tf.mul(of(x), densityOf(of(x), attributes, context))
  return { y: floats(tf.mul(of(cotangent), tf.add(cdfOf(of(x), attributes, context), along))) }
}
