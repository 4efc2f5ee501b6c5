// Attention with a window or a soft cap (which the flash kernels do not know): plain products, block by block, probabilities
// kept. A key head's query heads stand as rows, [kvHeads, heads / kvHeads * rows, ...], so keys are never repeated.
import type { AttentionAttributes } from "../operations/attention.ts"
import { type Block, blocksOf } from "../reference/blocks.ts"
import { keys, maskOf, queries } from "./flashAttention.ts"
import { type Context, floats, type Lowering, opaque, type Tensor } from "./Lowering.ts"
import type { Handle } from "./native.ts"

const partsOf = (block: Block, attributes: AttentionAttributes, context: Context) => {
  const { torch } = context
  const { headDim, heads, kvHeads } = attributes
  const [rows, seen] = [heads / kvHeads * block.asks, block.prompt + block.own]
  return {
    seen,
    /** [kvHeads, shared * asks, headDim] */
    asking: (x: Tensor): Handle =>
      torch.call("reshape", queries(x.handles[0]!, block, attributes, context), [kvHeads, rows, headDim]),
    /** [kvHeads, keys, headDim] */
    looked: (x: Tensor): Handle => torch.call("select.int", keys(x.handles[0]!, block, attributes, context), 1, 0),
    times: (x: Handle, factor: number): Handle =>
      torch.call("mul.Tensor", x, torch.upload(Float32Array.of(factor), [1])),
    turned: (x: Handle): Handle => torch.call("transpose.int", x, 1, 2),
    bmm: (a: Handle, b: Handle): Handle => torch.call("bmm", a, b),
    /** The inverse of `asking`: writes to the block's rows. */
    write: (to: Handle, x: Handle): void =>
      torch.native.copy(
        queries(to, block, attributes, context),
        torch.call("view", x, [kvHeads, heads / kvHeads, block.asks, headDim])
      )
  }
}

/** `saved` holds probabilities and, with a soft cap, tanh(score / softCap), block by block. */
export const maskedAttention: Lowering<"attention"> = ({ k, q, segments, v }, attributes, context) => {
  const { sizes, torch } = context
  const { heads, scale, softCap } = attributes
  const y = torch.empty(q.shape)
  const saved: Array<Handle> = []
  for (const block of blocksOf(segments.ints, sizes.G, q.shape[0]!)) {
    const { asking, bmm, looked, seen, times, turned, write } = partsOf(block, attributes, context)
    const products = bmm(asking(q), turned(looked(k)))
    const bent = softCap === undefined ? undefined : torch.call("tanh", times(products, scale / softCap))
    const scores = softCap === undefined || bent === undefined ? times(products, scale) : times(bent, softCap)
    const perHead = torch.call("view", scores, [heads, block.asks, seen])
    const mask = maskOf(block, context, segments.ints, attributes.window)
    const p = torch.call("view", torch.call("_softmax", torch.add(perHead, mask), 2, false), [
      attributes.kvHeads,
      -1,
      seen
    ])
    write(y, bmm(p, looked(v)))
    saved.push(p, ...(bent === undefined ? [] : [bent]))
  }
  return { y: floats(y, q.shape), saved: opaque(saved) }
}

export const maskedAttentionBackward: Lowering<"attentionBackward"> = (inputs, attributes, context) => {
  const { cotangent, k, q, saved, segments, v } = inputs
  const { sizes, torch } = context
  const { headDim, kvHeads, scale, softCap } = attributes
  const perBlock = softCap === undefined ? 1 : 2
  const width = kvHeads * headDim
  const d = { q: torch.empty(q.shape), k: torch.zeros(k.shape), v: torch.zeros(v.shape) }
  /** Adds [kvHeads, keys, headDim] to the rows that the block sees. */
  const add = (to: Handle, { from, own, prompt, start }: Block, x: Handle): void => {
    const rows = (row: number, count: number, first: number): void => {
      const place = torch.strided(to, [kvHeads, count, headDim], [headDim, width, 1], row * width)
      torch.native.copy(place, torch.add(place, torch.call("narrow", x, 1, first, count)))
    }
    if (prompt > 0) rows(start, prompt, 0)
    rows(from, own, prompt)
  }
  blocksOf(segments.ints, sizes.G, q.shape[0]!).forEach((block, i) =>
    torch.scope(() => {
      const { asking, bmm, looked, times, turned, write } = partsOf(block, attributes, context)
      const p = saved.handles[perBlock * i]!
      const c = asking(cotangent)
      const slopes = bmm(c, turned(looked(v)))
      const below = torch.call("_softmax_backward_data", slopes, p, 2, torch.native.dtypes.float32)
      const straight = softCap === undefined
        ? below
        : torch.call("tanh_backward", below, saved.handles[perBlock * i + 1]!)
      const s = times(straight, scale)
      write(d.q, bmm(s, looked(k)))
      add(d.k, block, bmm(turned(s), asking(q)))
      add(d.v, block, bmm(turned(p), c))
    })
  )
  return { q: floats(d.q, q.shape), k: floats(d.k, k.shape), v: floats(d.v, v.shape) }
}
