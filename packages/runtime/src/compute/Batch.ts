// One batch shape for everything: groups of one prompt and n branches, packed end to end without padding.
// The prompt is computed once and shared by its branches; the head runs only on rows that predict completion tokens.
// Leaves out: masks, cu_seqlens, padding. Each engine derives what it needs from the segment lengths.

/** Tokenised groups in memory. Group g is its prompt followed by its branches, `sides[b]` naming branch b. */
export interface TokenGroups {
  /** All groups end to end: prompt, branch 0, branch 1, ... */
  readonly tokens: Int32Array
  /** [groups + 1] where each group starts in `tokens`. */
  readonly offsets: Int32Array
  /** [groups] prompt lengths, BOS included. */
  readonly promptLength: Int32Array
  /** [groups * branches] completion lengths, EOS included when the answer has one. */
  readonly branchLength: Int32Array
  readonly sides: ReadonlyArray<string>
  /** Row id of each group, for messages. */
  readonly ids: ReadonlyArray<string>
  /** Numeric data columns, [groups] each. */
  readonly columns: Readonly<Record<string, Float64Array>>
}

/**
 * A packed batch. Rows are the tokens that are fed: each prompt whole, each branch without its last token (which
 * predicts nothing). Completion tokens are ordered by group, then branch, then position.
 */
export interface Batch {
  readonly groups: number
  readonly branches: number
  /** [T] */
  readonly tokens: Int32Array
  /** [T] every branch starts at its prompt's length. */
  readonly positions: Int32Array
  /** [groups * (1 + branches)] rows of prompt, branch 0, branch 1, ... per group; a branch of length L has L - 1 rows. */
  readonly segments: Int32Array
  /** [M] unique rows whose hidden state predicts a completion token (the prompt's last row serves every branch). */
  readonly rows: Int32Array
  /** [N] index into `rows` for each completion token. */
  readonly predictor: Int32Array
  /** [N] the completion tokens themselves. */
  readonly targets: Int32Array
  /** [groups * branches] completion tokens per branch; their sum is N. */
  readonly lengths: Int32Array
}

/** Packs the chosen groups, keeping only the branches of `sides` (SFT trains on "chosen" alone). */
export const pack = (
  data: TokenGroups,
  groups: ArrayLike<number>,
  sides: ReadonlyArray<string> = data.sides
): Batch => {
  const keep = sides.map((side) => data.sides.indexOf(side))
  const width = data.sides.length
  const lengths = new Int32Array(groups.length * keep.length)
  const segments = new Int32Array(groups.length * (keep.length + 1))
  let total = 0
  let predicted = 0
  let heads = 0
  for (let i = 0; i < groups.length; i++) {
    const g = groups[i]!
    const prompt = data.promptLength[g]!
    segments[i * (keep.length + 1)] = prompt
    total += prompt
    heads += 1
    for (let b = 0; b < keep.length; b++) {
      const length = data.branchLength[g * width + keep[b]!]!
      lengths[i * keep.length + b] = length
      segments[i * (keep.length + 1) + 1 + b] = length - 1
      total += length - 1
      predicted += length
      heads += length - 1
    }
  }
  const tokens = new Int32Array(total)
  const positions = new Int32Array(total)
  const rows = new Int32Array(heads)
  const predictor = new Int32Array(predicted)
  const targets = new Int32Array(predicted)
  let t = 0
  let n = 0
  let m = 0
  for (let i = 0; i < groups.length; i++) {
    const g = groups[i]!
    const start = data.offsets[g]!
    const prompt = data.promptLength[g]!
    for (let p = 0; p < prompt; p++) {
      tokens[t] = data.tokens[start + p]!
      positions[t++] = p
    }
    const first = m
    rows[m++] = t - 1
    for (let b = 0; b < keep.length; b++) {
      let at = start + prompt
      for (let before = 0; before < keep[b]!; before++) at += data.branchLength[g * width + before]!
      const length = lengths[i * keep.length + b]!
      for (let j = 0; j < length; j++) {
        targets[n] = data.tokens[at + j]!
        predictor[n++] = j === 0 ? first : m - 1
        if (j === length - 1) break
        rows[m++] = t
        tokens[t] = data.tokens[at + j]!
        positions[t++] = prompt + j
      }
    }
  }
  return {
    groups: groups.length,
    branches: keep.length,
    tokens,
    positions,
    segments,
    rows,
    predictor,
    targets,
    lengths
  }
}
