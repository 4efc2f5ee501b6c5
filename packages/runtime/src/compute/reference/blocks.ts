// The blocks of attention as the reference engine computes them: which rows ask, which rows they see, one key head at a time.
import type { AttentionAttributes } from "../operations/attention.ts"

export interface Block {
  /** Rows [from, from + own): a prompt, or one branch. */
  readonly from: number
  readonly own: number
  /** Its last `asks` rows ask, which are rows [asking, asking + asks) of the queries. */
  readonly asking: number
  readonly asks: number
  /** The prompt's rows, seen before the own ones; none when the block is the prompt itself. */
  readonly start: number
  readonly prompt: number
}

/**
 * Blocks without rows are left out. `queries`: as many as there are rows, or the rows that predict alone (Batch.rows), which are
 * each prompt's last and all of the branches.
 */
export const blocksOf = (segments: Int32Array, groups: number, queries: number): ReadonlyArray<Block> => {
  const perGroup = segments.length / groups
  const all = queries === segments.reduce((sum, own) => sum + own, 0)
  const blocks: Array<Block> = []
  let [from, start, asking] = [0, 0, 0]
  segments.forEach((own, s) => {
    const first = s % perGroup === 0
    if (first) start = from
    const asks = first && !all ? Math.min(1, own) : own
    if (own > 0) blocks.push({ from, own, asking, asks, start, prompt: first ? 0 : segments[s - s % perGroup]! })
    from += own
    asking += asks
  })
  return blocks
}

/** Probabilities of a block: for each query head, each row that asks, each key. */
export const probabilities = ({ asks, own, prompt }: Block, { heads }: AttentionAttributes): number =>
  heads * asks * (prompt + own)

/**
 * Where the heads that read key head `kvHead` lie in rows of queries: element offsets, head by head, row by row.
 * Stacked so, grouped queries are one product with keys that are never repeated.
 */
export const queryPlaces = (block: Block, kvHead: number, a: AttentionAttributes): ReadonlyArray<number> => {
  const shared = a.heads / a.kvHeads
  return Array.from({ length: shared * block.asks }, (_, i) => {
    const head = kvHead * shared + Math.floor(i / block.asks)
    return ((block.asking + i % block.asks) * a.heads + head) * a.headDim
  })
}

/** The same for the keys that the block sees, in position order. */
export const keyPlaces = ({ from, own, prompt, start }: Block, kvHead: number, a: AttentionAttributes) =>
  Array.from({ length: prompt + own }, (_, j) => {
    const row = j < prompt ? start + j : from + j - prompt
    return (row * a.kvHeads + kvHead) * a.headDim
  })

/** [places, width] */
export const gather = (x: Float64Array, places: ReadonlyArray<number>, width: number): Float64Array => {
  const y = new Float64Array(places.length * width)
  places.forEach((place, i) => y.set(x.subarray(place, place + width), i * width))
  return y
}

export const scatterAdd = (x: Float64Array, places: ReadonlyArray<number>, width: number, to: Float64Array): void =>
  places.forEach((place, i) => {
    for (let d = 0; d < width; d++) to[place + d] = to[place + d]! + x[i * width + d]!
  })

/** Scores [rows, keys] -> probabilities, in place: row i sees the last `window` of the first keys - asks + i % asks + 1 keys. */
export const causalSoftmax = (
  scores: Float64Array,
  asks: number,
  keys: number,
  { scale, softCap, window = Infinity }: AttentionAttributes
): void => {
  for (let i = 0; i * keys < scores.length; i++) {
    const at = i * keys
    const end = at + keys - asks + i % asks + 1
    const begin = Math.max(at, end - window)
    let top = -Infinity
    for (let j = begin; j < end; j++) {
      const score = scores[j]! * scale
      scores[j] = softCap === undefined ? score : softCap * Math.tanh(score / softCap)
      top = Math.max(top, scores[j]!)
    }
    let total = 0
    for (let j = begin; j < end; j++) {
      scores[j] = Math.exp(scores[j]! - top)
      total += scores[j]!
    }
    for (let j = begin; j < end; j++) scores[j] = scores[j]! / total
    scores.fill(0, at, begin)
    scores.fill(0, end, at + keys)
  }
}
