// How attention is cut: exact blocks without padding, each prompt in a few tiles of rows, so that the half of its square
// that causality masks is mostly not computed and a tile stays in the cache between operations.
// A tile of the prompt sees the prompt's tiles up to itself; a branch sees the whole prompt and itself.
import type { Batch } from "../Batch.ts"

/** What a model is unrolled for. Lengths are not part of it: they come with each batch. */
export interface Layout {
  readonly groups: number
  readonly branches: number
  readonly promptTiles: number
}

export interface Block {
  /** Which rows ask: an index into the cut of the queries. */
  readonly query: number
  /** Which rows are seen, in position order: indices into the cut of the keys. */
  readonly keys: ReadonlyArray<number>
  /** The last of the keys' tiles. */
  readonly tile: number
  /** Whether all rows of that tile ask, or its last one alone, which needs no causal mask. */
  readonly asking: "rows" | "last"
}

/** Tiles per group: the prompt's, then one per branch. */
const perGroup = ({ branches, promptTiles }: Layout): number => promptTiles + branches

/**
 * `all`: every row asks, cut as the keys are. `predicting`: only rows that predict completion tokens ask, which are each
 * prompt's last and the branches' (Batch.rows), cut into 1 + branches pieces per group.
 */
export const blocksOf = (layout: Layout, asking: "all" | "predicting"): ReadonlyArray<Block> => {
  const { branches, groups, promptTiles } = layout
  const blocks: Array<Block> = []
  for (let group = 0; group < groups; group++) {
    const first = group * perGroup(layout)
    const prompt = Array.from({ length: promptTiles }, (_, t) => first + t)
    if (asking === "all") {
      prompt.forEach((tile, t) => blocks.push({ query: tile, keys: prompt.slice(0, t + 1), tile, asking: "rows" }))
    } else blocks.push({ query: group * (1 + branches), keys: prompt, tile: first + promptTiles - 1, asking: "last" })
    for (let branch = 0; branch < branches; branch++) {
      const tile = first + promptTiles + branch
      const query = asking === "all" ? tile : group * (1 + branches) + 1 + branch
      blocks.push({ query, keys: [...prompt, tile], tile, asking: "rows" })
    }
  }
  return blocks
}

/** [groups * (promptTiles + branches)] rows of each tile. */
export const tileSizes = ({ segments }: Batch, layout: Layout): ReadonlyArray<number> => {
  const { branches, groups, promptTiles } = layout
  const sizes: Array<number> = []
  for (let group = 0; group < groups; group++) {
    const [prompt, ...rest] = segments.subarray(group * (1 + branches), (group + 1) * (1 + branches))
    for (let t = 0; t < promptTiles; t++) {
      sizes.push(Math.floor(prompt! * (t + 1) / promptTiles) - Math.floor(prompt! * t / promptTiles))
    }
    sizes.push(...rest)
  }
  return sizes
}

/** [groups * (1 + branches)] rows of each piece when only predicting rows ask. */
export const predictingSizes = ({ segments }: Batch, { branches }: Layout): ReadonlyArray<number> =>
  Array.from(segments, (rows, s) => s % (1 + branches) === 0 ? 1 : rows)

/**
 * Additive causal mask of a tile for `shared` query heads: [1, rows * shared, keys], the heads of row i side by side, which
 * see the last `window` of the first keys - rows + i + 1 keys. The lowest value is finite: a masked score has probability 0
 * and no NaN.
 */
export const causalMask = (rows: number, keys: number, shared: number, window = Infinity): Float32Array => {
  const mask = new Float32Array(rows * shared * keys)
  for (let i = 0; i < rows * shared; i++) {
    const seen = keys - (rows - 1 - Math.floor(i / shared))
    mask.fill(-1e9, i * keys + seen, (i + 1) * keys)
    mask.fill(-1e9, i * keys, i * keys + Math.max(0, seen - window))
  }
  return mask
}
