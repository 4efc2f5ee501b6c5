// What a lowering to TensorFlow.js is given and gives back.
import type { Tensor as TfTensor } from "@tensorflow/tfjs-core"
import type { OperationName, Operations } from "../Graph.ts"
import type { Sizes } from "../sizes.ts"

/** The library, whichever package brought it: every backend is driven through this one interface. */
export type Tf = typeof import("@tensorflow/tfjs-core")

export interface Tensor {
  readonly shape: ReadonlyArray<number>
  /** One for a float tensor, none for an int one; a saved activation has as many as its operation keeps. */
  readonly held: ReadonlyArray<TfTensor>
  /** Elements of an int tensor. They stay on the host, which cuts groups by them; see `Context.index`. */
  readonly ints: Int32Array
}

export interface Context {
  readonly tf: Tf
  readonly sizes: Sizes
  /** [n, 1] of an int input, as gatherND and scatterND take it, uploaded once per batch. */
  readonly index: (ints: Int32Array) => TfTensor
  /** Made once per batch and kept to its end. `of` is the object that the thing is derived from. */
  readonly once: (of: object, key: string, make: () => TfTensor) => TfTensor
}

/** Inputs by name -> outputs by name. Runs in a tidy scope: whatever it does not return is freed after it. */
export type Lowering<N extends OperationName> = (
  inputs: { readonly [I in keyof Operations[N]["inputs"]]: Tensor },
  attributes: Operations[N]["attributes"],
  context: Context
) => { readonly [O in keyof Operations[N]["outputs"]]: Tensor }

const noInts = new Int32Array(0)

export const floats = (tensor: TfTensor): Tensor => ({ shape: tensor.shape, held: [tensor], ints: noInts })
export const opaque = (held: ReadonlyArray<TfTensor>): Tensor => ({ shape: [], held, ints: noInts })
export const ints = (data: Int32Array): Tensor => ({ shape: [data.length], held: [], ints: data })
/** softCap * tanh(x / softCap), where there is one. */
export const capped = (x: TfTensor, softCap: number | undefined, tf: Tf): TfTensor =>
  softCap === undefined ? x : tf.mul(tf.tanh(tf.div(x, softCap)), softCap)
/** Its slope at x: 1 - tanh²(x / softCap). */
export const slopeOfCap = (x: TfTensor, softCap: number, tf: Tf): TfTensor =>
  tf.sub(1, tf.square(tf.tanh(tf.div(x, softCap))))
/** The one tensor of a float. */
export const of = ({ held }: Tensor): TfTensor => held[0]!
