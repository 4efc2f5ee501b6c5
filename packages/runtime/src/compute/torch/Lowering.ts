// What a lowering to libtorch is given and gives back.
import type { OperationName, Operations } from "../Graph.ts"
import type { Sizes } from "../sizes.ts"
import type { Handle } from "./native.ts"
import type { Torch } from "./Torch.ts"

export interface Tensor {
  readonly shape: ReadonlyArray<number>
  /** One for a float tensor, none for an int one; a saved activation has as many as its operation keeps. */
  readonly handles: ReadonlyArray<Handle>
  /** Elements of an int tensor. They stay on the host, which cuts blocks and chunks by them; see `Context.index`. */
  readonly ints: Int32Array
  /** Elements of the cotangent, which comes from the host. */
  readonly host: Float64Array
}

/**
 * [keys * shared, keys]: rows of position i, one per query head that shares a key head, are 0 where j <= i and -infinity
 * elsewhere. The mask of any block is a part of it.
 */
export interface CausalMask {
  readonly handle: Handle
  readonly keys: number
}

export interface Context {
  readonly torch: Torch
  readonly sizes: Sizes
  /** The int64 tensor of an int input, uploaded once per run. Owned by the run. */
  readonly index: (ints: Int32Array) => Handle
  /** Made once per run and kept to its end. `of` is the object that the thing is derived from. */
  readonly once: (of: object, key: string, make: () => Handle) => Handle
  /** For at least as many keys; kept as long as the session. */
  readonly causal: (shared: number, keys: number) => CausalMask
  /** Nobody reads this input after the node, so its memory may become the output's. */
  readonly spare: (input: Tensor) => boolean
  /** Where the first output is summed, in place, instead of becoming a tensor of its own. */
  readonly into: Handle | undefined
}

/**
 * Inputs by name -> outputs by name. Runs in a scope: whatever it does not return is freed after it. An output is never a
 * view of an input, except of a spare one.
 */
export type Lowering<N extends OperationName> = (
  inputs: { readonly [I in keyof Operations[N]["inputs"]]: Tensor },
  attributes: Operations[N]["attributes"],
  context: Context
) => { readonly [O in keyof Operations[N]["outputs"]]: Tensor }

const noInts = new Int32Array(0)
const noFloats = new Float64Array(0)

export const floats = (handle: Handle, shape: ReadonlyArray<number>): Tensor => ({
  shape,
  handles: [handle],
  ints: noInts,
  host: noFloats
})
export const opaque = (handles: ReadonlyArray<Handle>): Tensor => ({ shape: [], handles, ints: noInts, host: noFloats })
export const ints = (data: Int32Array): Tensor => ({ shape: [data.length], handles: [], ints: data, host: noFloats })
export const cotangent = (handle: Handle, host: Float64Array): Tensor => ({
  shape: [host.length],
  handles: [handle],
  ints: noInts,
  host
})
