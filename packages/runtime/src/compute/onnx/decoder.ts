// Generation with caches that stay where they are: keys and values of each attention in arrays of their own, by position, whose
// filled part is fed as a view. A step appends one row to each; nothing else is copied.
import { Tensor } from "onnxruntime-node"
import type { Decoder } from "../../generation/Decoder.ts"
import { pieces, promptBatch } from "../../generation/promptBatch.ts"
import { promptMask } from "../../generation/promptMask.ts"
import type { Batch } from "../Batch.ts"
import { type AttentionShape, decodingName, type Window } from "./decoding.ts"
import { type Feeds, int64 } from "./feeds.ts"

/** What a replica runs for a decoder. Feeds are what its models do not know of the batch itself. */
export interface DecodingRuns {
  readonly vocabulary: number
  readonly attentions: ReadonlyArray<AttentionShape>
  /** Group counts that one prefill takes, ascending. */
  readonly groups: ReadonlyArray<number>
  readonly prefill: (batch: Batch) => Promise<Feeds>
  /** `positions` of the fed tokens. */
  readonly step: (branches: number, positions: Int32Array, feeds: Feeds) => Promise<Feeds>
}

/** Keys or values of one attention. */
interface Cache {
  /** [P, G * kvHeads * headDim] */
  prompt: Float32Array
  /** [1 + room, G * kvHeads * branches * headDim] */
  branch: Float32Array
}

/** The columns of `groups`, each `width` wide, of every row. */
const columns = (from: Float32Array, rows: number, groups: ReadonlyArray<number>, width: number): Float32Array => {
  const before = from.length / rows
  const after = groups.length * width
  const kept = new Float32Array(rows * after)
  for (let row = 0; row < rows; row++) {
    groups.forEach((g, i) => {
      const at = row * before + g * width
      kept.set(from.subarray(at, at + width), row * after + i * width)
    })
  }
  return kept
}

export const decoderOf = ({ attentions, groups: counts, prefill, step, vocabulary }: DecodingRuns): Decoder => {
  let branches = 1
  /** Tokens of each prompt. */
  let lengths: ReadonlyArray<number> = []
  /** Rows of the prompt caches. */
  let longest = 1
  /** Filled rows of the branch caches, of `1 + room`. */
  let filled = 1
  let room = 0
  let keys: ReadonlyArray<Cache> = []
  let values: ReadonlyArray<Cache> = []

  /** Rows [T, kvHeads * headDim] of prompts `from` on: the last token's goes to every branch, the others to the prompt. */
  const store = (cache: Cache, { headDim, kvHeads }: AttentionShape, rows: Float32Array, from: number, to: number) => {
    const width = kvHeads * headDim
    const groups = lengths.length
    let t = 0
    for (let g = from; g < to; g++) {
      for (let p = 0; p < lengths[g]!; p++, t += width) {
        const row = rows.subarray(t, t + width)
        if (p < lengths[g]! - 1) cache.prompt.set(row, (p * groups + g) * width)
        else {
          for (let head = 0; head < kvHeads; head++) {
            for (let b = 0; b < branches; b++) {
              cache.branch.set(
                row.subarray(head * headDim, (head + 1) * headDim),
                ((g * kvHeads + head) * branches + b) * headDim
              )
            }
          }
        }
      }
    }
  }
  const mask = (kvHeads: number, window?: Window): Tensor => {
    const data = promptMask(lengths, { filled, kvHeads, longest, low: -1e9, window })
    return new Tensor("float32", data, [lengths.length * kvHeads, 1, longest])
  }
  let promptFeeds: Feeds = {}
  /** What stays the same from step to step, until groups leave. */
  const feedPrompts = (): void => {
    promptFeeds = {}
    attentions.forEach(({ headDim, kvHeads, window }, layer) => {
      if (window === undefined) promptFeeds[decodingName.promptMask(window)] ??= mask(kvHeads)
      const shape = [longest, lengths.length * kvHeads, headDim]
      promptFeeds[decodingName.promptKeys(layer)] = new Tensor("float32", keys[layer]!.prompt, shape)
      promptFeeds[decodingName.promptValues(layer)] = new Tensor("float32", values[layer]!.prompt, shape)
    })
  }
  const rowOf = ({ headDim, kvHeads }: AttentionShape): number => lengths.length * kvHeads * branches * headDim
  const emptyCache = (shape: AttentionShape): Cache => ({
    prompt: new Float32Array(longest * lengths.length * shape.kvHeads * shape.headDim),
    branch: new Float32Array((1 + room) * rowOf(shape))
  })
  return {
    vocabulary,
    prefill: async (prompts, count, steps) => {
      branches = count
      room = steps
      filled = 1
      lengths = prompts.map(({ length }) => length)
      longest = Math.max(1, ...lengths.map((length) => length - 1))
      keys = attentions.map(emptyCache)
      values = attentions.map(emptyCache)
      const logits = new Float32Array(prompts.length * vocabulary)
      for (const [from, to] of pieces(prompts, counts)) {
        const made = await prefill(promptBatch(prompts.slice(from, to)))
        logits.set(made[decodingName.logits]!.data as Float32Array, from * vocabulary)
        attentions.forEach((shape, layer) => {
          store(keys[layer]!, shape, made[decodingName.newKeys(layer)]!.data as Float32Array, from, to)
          store(values[layer]!, shape, made[decodingName.newValues(layer)]!.data as Float32Array, from, to)
        })
      }
      feedPrompts()
      return logits
    },
    step: async (tokens) => {
      const feeds: Feeds = {
        ...promptFeeds,
        tokens: new Tensor("int32", tokens, [tokens.length])
      }
      attentions.forEach((shape, layer) => {
        const { headDim, kvHeads, window } = shape
        const row = rowOf(shape)
        const from = Math.max(0, filled - (window ?? Infinity) + 1)
        const sizes = [filled - from, row / headDim, headDim]
        const view = ({ branch }: Cache) => new Tensor("float32", branch.subarray(from * row, filled * row), sizes)
        feeds[decodingName.cut(window)] ??= int64([longest, filled - from, 1])
        feeds[decodingName.promptMask(window)] ??= mask(kvHeads, window)
        feeds[decodingName.branchKeys(layer)] = view(keys[layer]!)
        feeds[decodingName.branchValues(layer)] = view(values[layer]!)
      })
      const positions = Int32Array.from(tokens, (_, i) => lengths[Math.floor(i / branches)]! + filled - 1)
      const made = await step(branches, positions, feeds)
      attentions.forEach((shape, layer) => {
        const at = filled * rowOf(shape)
        keys[layer]!.branch.set(made[decodingName.newKeys(layer)]!.data as Float32Array, at)
        values[layer]!.branch.set(made[decodingName.newValues(layer)]!.data as Float32Array, at)
      })
      filled += 1
      return made[decodingName.logits]!.data as Float32Array
    },
    keep: (groups) => {
      attentions.forEach(({ headDim, kvHeads }, layer) => {
        const width = kvHeads * headDim
        for (const cache of [keys[layer]!, values[layer]!]) {
          cache.prompt = columns(cache.prompt, longest, groups, width)
          cache.branch = columns(cache.branch, 1 + room, groups, width * branches)
        }
      })
      lengths = groups.map((g) => lengths[g]!)
      feedPrompts()
    }
  }
}
