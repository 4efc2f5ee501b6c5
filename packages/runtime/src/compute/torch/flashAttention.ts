// Attention block by block, as libtorch's CPU flash kernel takes it. A key head and the query heads that read it are a
// "batch" of their own, [kvHeads, heads / kvHeads, rows, headDim]: views by strides, keys never repeated (stride 0).
// The kernel's causal flag is aligned to the top left, so a branch, which has more keys than queries, gets a mask; so does
// a window.
import type { AttentionAttributes } from "../operations/attention.ts"
import { type Block, blocksOf } from "../reference/blocks.ts"
import { type Context, floats, type Lowering, opaque, type Tensor } from "./Lowering.ts"
import type { Handle } from "./native.ts"

/** [asks, keys]: 0 where row i may look, at the last `window` of its first keys - asks + i + 1 keys; -infinity elsewhere. */
export const maskOf = (
  { asks, own, prompt }: Block,
  { once, torch }: Context,
  of: object,
  window = Infinity
): Handle => {
  const keys = prompt + own
  return once(of, `mask ${asks} ${keys} ${window}`, () => {
    const mask = new Float32Array(asks * keys)
    for (let i = 0; i < asks; i++) {
      const seen = keys - asks + i + 1
      mask.fill(-Infinity, i * keys, i * keys + Math.max(0, seen - window))
      mask.fill(-Infinity, i * keys + seen, (i + 1) * keys)
    }
    return torch.upload(mask, [asks, keys])
  })
}

/** What the kernel is told: its causal flag where that says it all, and nothing where one row sees every key. */
const hidingOf = (block: Block, { scale, window = Infinity }: AttentionAttributes, context: Context, of: object) => {
  const { asks, own, prompt } = block
  const whole = window >= prompt + own
  const causal = whole && prompt === 0 && asks === own
  const mask = causal || (whole && asks === 1) ? undefined : maskOf(block, context, of, window)
  return { causal, named: { attn_mask: mask, scale } }
}

/** The block's rows of queries, outputs or their gradients. */
export const queries = (
  x: Handle,
  { asking, asks }: Block,
  { headDim, heads, kvHeads }: AttentionAttributes,
  { torch }: Context
) => {
  const shared = heads / kvHeads
  const width = heads * headDim
  return torch.strided(x, [kvHeads, shared, asks, headDim], [shared * headDim, headDim, width, 1], asking * width)
}

/** The keys or values that a block sees, in position order; copied only where prompt and branch do not lie together. */
export const keys = (x: Handle, block: Block, { headDim, heads, kvHeads }: AttentionAttributes, { torch }: Context) => {
  const { from, own, prompt, start } = block
  const width = kvHeads * headDim
  const together = prompt === 0 || start + prompt === from
  const rows = (first: number, count: number) => torch.call("narrow", x, 0, first, count)
  const whole = together ? x : torch.call("cat", [rows(start, prompt), rows(from, own)], 0)
  const first = together ? (prompt === 0 ? from : start) * width : 0
  return torch.strided(whole, [kvHeads, heads / kvHeads, prompt + own, headDim], [headDim, 0, width, 1], first)
}

export const flashAttention: Lowering<"attention"> = ({ k, q, segments, v }, attributes, context) => {
  const { torch, sizes } = context
  const y = torch.empty(q.shape)
  const logSums: Array<Handle> = []
  for (const block of blocksOf(segments.ints, sizes.G, q.shape[0]!)) {
    const { causal, named } = hidingOf(block, attributes, context, segments.ints)
    const [out, logSum] = torch.all("_scaled_dot_product_flash_attention_for_cpu", [
      queries(q.handles[0]!, block, attributes, context),
      keys(k.handles[0]!, block, attributes, context),
      keys(v.handles[0]!, block, attributes, context),
      0,
      causal
    ], named)
    torch.native.copy(queries(y, block, attributes, context), out!)
    logSums.push(logSum!)
  }
  return { y: floats(y, q.shape), saved: opaque(logSums) }
}

export const flashAttentionBackward: Lowering<"attentionBackward"> = (inputs, attributes, context) => {
  const { cotangent, k, q, saved, segments, v, y } = inputs
  const { headDim, heads, kvHeads } = attributes
  const { sizes, torch } = context
  const width = kvHeads * headDim
  const d = { q: torch.empty(q.shape), k: torch.empty(k.shape), v: torch.empty(v.shape) }
  /** Rows [first, first + count) of a gradient [kvHeads, n, headDim]. */
  const part = (x: Handle, first: number, count: number) => torch.call("narrow", x, 1, first, count)
  const write = (to: Handle, row: number, count: number, from: Handle) =>
    torch.native.copy(torch.strided(to, [kvHeads, count, headDim], [headDim, width, 1], row * width), from)
  const blocks = blocksOf(segments.ints, sizes.G, q.shape[0]!)
  /** Gradients of the group's prompt, from all blocks so far; written when its last block is done. */
  let prompts: { readonly k: Handle; readonly v: Handle } | undefined
  blocks.forEach((block, i) => {
    const { from, own, prompt, start } = block
    const { causal, named } = hidingOf(block, attributes, context, segments.ints)
    const [dQ, dK, dV] = torch.all("_scaled_dot_product_flash_attention_for_cpu_backward", [
      queries(cotangent.handles[0]!, block, attributes, context),
      queries(q.handles[0]!, block, attributes, context),
      keys(k.handles[0]!, block, attributes, context),
      keys(v.handles[0]!, block, attributes, context),
      queries(y.handles[0]!, block, attributes, context),
      saved.handles[i]!,
      0,
      causal
    ], named)
    torch.native.copy(queries(d.q, block, attributes, context), dQ!)
    const overHeads = (x: Handle) =>
      heads === kvHeads ? torch.call("select.int", x, 1, 0) : torch.call("sum.dim_IntList", x, [1])
    const [sumK, sumV] = [overHeads(dK!), overHeads(dV!)]
    if (prompt === 0) {
      prompts = { k: sumK, v: sumV }
    } else {
      write(d.k, from, own, part(sumK, prompt, own))
      write(d.v, from, own, part(sumV, prompt, own))
      prompts = { k: torch.add(prompts!.k, part(sumK, 0, prompt)), v: torch.add(prompts!.v, part(sumV, 0, prompt)) }
    }
    const following = blocks[i + 1]
    if (following !== undefined && following.prompt !== 0) return
    const rows = prompt === 0 ? own : prompt
    write(d.k, start, rows, prompts.k)
    write(d.v, start, rows, prompts.v)
  })
  const tensor = (handle: Handle, like: Tensor) => floats(handle, like.shape)
  return { q: tensor(d.q, q), k: tensor(d.k, k), v: tensor(d.v, v) }
}
