// Which rows of the prompts' caches a step does not see.

/**
 * [G * kvHeads, longest] added to scores of prompts without their last token: `low` where a prompt has no such row, or none that
 * the window shows. `filled`: rows of the branches' caches before the query, whose first is the prompt's last token.
 */
export const promptMask = (
  lengths: ReadonlyArray<number>,
  { filled, kvHeads, longest, low, window = Infinity }: {
    readonly filled: number
    readonly kvHeads: number
    readonly longest: number
    readonly low: number
    readonly window?: number | undefined
  }
): Float32Array => {
  const perGroup = kvHeads * longest
  const data = new Float32Array(lengths.length * perGroup)
  lengths.forEach((length, g) => {
    // The query stands at position length + filled - 1.
    const hidden = Math.min(length - 1, Math.max(0, length + filled - window))
    for (let at = g * perGroup; at < (g + 1) * perGroup; at += longest) {
      data.fill(low, at, at + hidden)
      data.fill(low, at + length - 1, at + longest)
    }
  })
  return data
}
