// Attention of a whole micro-batch in one call, as flash attention on CUDA takes it: sequences end to end, causal to the
// bottom right, bfloat16. A prompt's rows of keys and values stand before every branch's, copied by one gather.
// Not yet run on a GPU; the arrangement is held to the reference kernel on the CPU.
import type { AttentionAttributes } from "../operations/attention.ts"
import { type Block, blocksOf } from "../reference/blocks.ts"
import { type Context, floats, type Lowering, opaque, type Tensor } from "./Lowering.ts"
import type { Handle } from "./native.ts"

/** Sequence i asks with rows [queryEnds[i], queryEnds[i + 1]) of the queries and sees keys keyRows[keyEnds[i]] to keyRows[keyEnds[i + 1] - 1]. */
export interface Sequences {
  readonly queryEnds: Int32Array
  readonly keyEnds: Int32Array
  /** Rows of keys and values, in the order in which they are seen. */
  readonly keyRows: Int32Array
  readonly mostQueries: number
  readonly mostKeys: number
}

/** A prompt and the branch behind it are one sequence. */
export const sequencesOf = (blocks: ReadonlyArray<Block>): Sequences => {
  const queryEnds = [0]
  const keyEnds = [0]
  const keyRows: Array<number> = []
  let [mostQueries, mostKeys] = [0, 0]
  blocks.forEach(({ asking, asks, from, own, prompt, start }, i) => {
    const before = blocks[i - 1]
    const joined = prompt > 0 && before !== undefined && before.prompt === 0 && start + prompt === from
    if (joined) {
      queryEnds.pop()
      keyEnds.pop()
    } else for (let row = start; row < start + prompt; row++) keyRows.push(row)
    for (let row = from; row < from + own; row++) keyRows.push(row)
    mostQueries = Math.max(mostQueries, asking + asks - queryEnds.at(-1)!)
    mostKeys = Math.max(mostKeys, keyRows.length - keyEnds.at(-1)!)
    queryEnds.push(asking + asks)
    keyEnds.push(keyRows.length)
  })
  return {
    queryEnds: Int32Array.from(queryEnds),
    keyEnds: Int32Array.from(keyEnds),
    keyRows: Int32Array.from(keyRows),
    mostQueries,
    mostKeys
  }
}

/** By segments, and by how many rows ask. */
const plans = new WeakMap<Int32Array, Map<number, Sequences>>()
const planOf = (segments: Int32Array, groups: number, queries: number): Sequences => {
  const known = plans.get(segments) ?? new Map<number, Sequences>()
  plans.set(segments, known)
  const plan = known.get(queries) ?? sequencesOf(blocksOf(segments, groups, queries))
  known.set(queries, plan)
  return plan
}

/** What forward and backward share. A window of w positions is w - 1 to the left of the query's own. */
const calledWith = (
  segments: Int32Array,
  queries: number,
  { headDim, heads, kvHeads, scale, window }: AttentionAttributes,
  { index, once, sizes, torch }: Context
) => {
  const plan = planOf(segments, sizes.G, queries)
  const ends = (name: "queryEnds" | "keyEnds") => once(plan, name, () => torch.upload(plan[name], [plan[name].length]))
  const by = (x: Handle, rows: number, count: number) => torch.call("view", x, [rows, count, headDim])
  const rows = index(plan.keyRows)
  return {
    plan,
    rows,
    asking: (x: Tensor) => by(x.handles[0]!, x.shape[0]!, heads),
    seen: (x: Tensor) => by(torch.call("index_select", x.handles[0]!, 0, rows), plan.keyRows.length, kvHeads),
    ends: [ends("queryEnds"), ends("keyEnds"), plan.mostQueries, plan.mostKeys] as const,
    named: {
      scale,
      ...(window === undefined ? {} : { window_size_left: window - 1, window_size_right: 0 })
    }
  }
}

/** `saved` holds log-sums and the state of a dropout that is not used. */
export const varlenAttention: Lowering<"attention"> = ({ k, q, segments, v }, attributes, context) => {
  const { torch } = context
  const { asking, ends, named, seen } = calledWith(segments.ints, q.shape[0]!, attributes, context)
  const [out, logSums, random, unused] = torch.all(
    "_flash_attention_forward",
    [asking(q), seen(k), seen(v), ...ends, 0, true, false],
    named
  )
  return {
    y: floats(torch.call("view", out!, q.shape), q.shape),
    saved: opaque([logSums!, random!, unused!])
  }
}

export const varlenAttentionBackward: Lowering<"attentionBackward"> = (inputs, attributes, context) => {
  const { cotangent, k, q, saved, segments, v, y } = inputs
  const { torch } = context
  const { asking, ends, named, plan, rows, seen } = calledWith(segments.ints, q.shape[0]!, attributes, context)
  const [logSums, random, unused] = saved.handles
  const [dQ, dK, dV] = torch.all(
    "_flash_attention_backward",
    [asking(cotangent), asking(q), seen(k), seen(v), asking(y), logSums, ...ends, 0, true, random, unused],
    named
  )
  /** Rows that several sequences saw get the sum, in float32. */
  const summed = (x: Handle, like: Tensor): Tensor => {
    const flat = torch.call("reshape", x, [plan.keyRows.length, like.shape[1]!])
    const wide = torch.cast(flat, torch.native.dtypes.float32)
    const sum = torch.call("embedding_dense_backward", wide, rows, like.shape[0]!, -1, false)
    return floats(torch.cast(sum, torch.floats), like.shape)
  }
  return { q: floats(torch.call("reshape", dQ!, q.shape), q.shape), k: summed(dK!, k), v: summed(dV!, v) }
}
