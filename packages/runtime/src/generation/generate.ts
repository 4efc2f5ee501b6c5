// The generation loop over a decoder: choose, look for an end, feed. Runs in the worker; plain functions over typed arrays.
// A group leaves the batch when all its samples have ended and half of the batch has.
import { seed } from "@penchant/dsl/Identity"
import { random } from "../platform/random.ts"
import type { Decoder } from "./Decoder.ts"
import type { GenerateOptions, Prompt, Sample } from "./Generation.ts"
import { choose, logProbOf } from "./sampling.ts"

/** Text of ids, special tokens left out. */
export type Decode = (ids: ArrayLike<number>) => string

interface Growing {
  readonly tokens: Array<number>
  readonly logProbs: Array<number>
  readonly seen: Set<number>
  readonly draw: () => number
  finish: Sample["finish"] | undefined
}

/** Whether one of the stops lies in what was generated, given that none did a token before. */
const stops = ({ decode, stop }: { readonly decode: Decode; readonly stop: ReadonlyArray<string> }) => {
  // Each token that is not special adds a byte at least; one more on each side for the space that decoders strip, and one
  // each for a special token that decodes to nothing.
  const bytes = stop.map((text) => new TextEncoder().encode(text).length)
  const tail = Math.max(...bytes) + 4
  return (tokens: ReadonlyArray<number>): boolean => {
    const text = decode(tokens.slice(-tail))
    return stop.some((one) => text.includes(one))
  }
}

/** Samples of each prompt, `samples` in a row. Throws when stop strings are given without `decode`. */
export const generate = async (
  decoder: Decoder,
  prompts: ReadonlyArray<Prompt>,
  options: GenerateOptions,
  decode?: Decode
): Promise<ReadonlyArray<Sample>> => {
  const { eos, logProbs = false, maxTokens, samples, sampling, stop } = options
  if (stop.length > 0 && decode === undefined) throw new Error("stop strings need the model's tokenizer")
  const stopped = stop.length > 0 && decode !== undefined ? stops({ decode, stop }) : () => false
  const penalty = sampling.repetitionPenalty !== undefined && sampling.repetitionPenalty !== 1
  const growing = prompts.map(({ id, tokens }) =>
    Array.from({ length: samples }, (_, s): Growing => ({
      tokens: [],
      logProbs: [],
      seen: new Set(penalty ? tokens : []),
      draw: random(seed(options.seed, `generation/${id}/${s}`)),
      finish: undefined
    }))
  )
  const ended = (group: ReadonlyArray<Growing>): boolean => group.every(({ finish }) => finish !== undefined)
  let live = maxTokens > 0 ? growing : []
  let logits = await decoder.prefill(prompts.map(({ tokens }) => tokens), samples, maxTokens)
  for (let t = 0; live.length > 0; t++) {
    const next = new Int32Array(live.length * samples)
    for (const [g, group] of live.entries()) {
      for (const [s, each] of group.entries()) {
        if (each.finish !== undefined) continue
        const at = (t === 0 ? g : g * samples + s) * decoder.vocabulary
        const row = logits.subarray(at, at + decoder.vocabulary)
        const token = choose(row, sampling, each.seen, each.draw)
        if (logProbs) each.logProbs.push(logProbOf(row, token))
        if (penalty) each.seen.add(token)
        each.tokens.push(token)
        next[g * samples + s] = token
        if (eos.includes(token)) each.finish = "eos"
        else if (stopped(each.tokens)) each.finish = "stop"
        else if (each.tokens.length === maxTokens) each.finish = "length"
      }
    }
    const going = [...live.keys()].filter((g) => !ended(live[g]!))
    if (going.length === 0) break
    let feed = next
    if (going.length <= live.length / 2) {
      // Before the first step a decoder has nothing but prompts: it drops those alike.
      decoder.keep(going)
      feed = Int32Array.from(going.flatMap((g) => Array.from(next.subarray(g * samples, (g + 1) * samples))))
      live = going.map((g) => live[g]!)
    }
    logits = await decoder.step(feed)
  }
  return growing.flat().map((each): Sample => {
    const tokens = Int32Array.from(each.tokens)
    const finish = each.finish ?? "length"
    return logProbs ? { tokens, finish, logProbs: Float64Array.from(each.logProbs) } : { tokens, finish }
  })
}
