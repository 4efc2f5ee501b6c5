// Lanes side by side: each batch is cut into as many parts as there are lanes, and each lane runs one.
import type { GenerateOptions, Prompt, Sample } from "../../generation/Generation.ts"
import type { Part } from "./parts.ts"

/** Waits for all, also when one fails, so that none is still at work afterwards. */
export const settled = async <A>(runs: ReadonlyArray<Promise<A>>): Promise<ReadonlyArray<A>> => {
  const results = await Promise.allSettled(runs)
  return results.map((result) => {
    if (result.status === "rejected") throw result.reason
    return result.value
  })
}

/** Lane p runs part p; those of other threads are first on their way, then the first lane, which is here. */
export const together = async <L, A>(
  lanes: ReadonlyArray<L>,
  parts: ReadonlyArray<Part>,
  each: (lane: L, part: Part) => Promise<A>
): Promise<ReadonlyArray<A>> => {
  const runs = parts.map((part, p) => [lanes[p]!, part] as const).toReversed().map(([lane, part]) => each(lane, part))
  return (await settled(runs)).toReversed()
}

interface Generating {
  readonly generate: (prompts: ReadonlyArray<Prompt>, options: GenerateOptions) => Promise<ReadonlyArray<Sample>>
}

/** Prompts go to the lanes in turn, so that each has as many, of about the same lengths when these are sorted. */
export const generateTogether = async (
  lanes: ReadonlyArray<Generating>,
  prompts: ReadonlyArray<Prompt>,
  options: GenerateOptions
): Promise<ReadonlyArray<Sample>> => {
  const shares = lanes.map((lane, l) => [lane, prompts.filter((_, p) => p % lanes.length === l)] as const)
  const made = await settled(
    shares.toReversed().map(async ([lane, share]) => share.length === 0 ? [] : lane.generate(share, options))
  ).then((parts) => parts.toReversed())
  return prompts.flatMap((_, p) => {
    const at = Math.floor(p / lanes.length) * options.samples
    return made[p % lanes.length]!.slice(at, at + options.samples)
  })
}
