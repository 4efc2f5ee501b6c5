// The head: logits of the predicting rows, their log-sums, and the completion tokens' log-probabilities. Logits that would
// not fit a budget are made again, chunk by chunk, on the way back.
import type { HeadAttributes } from "../operations/tokenLogProb.ts"
import { launchLogSums, launchSoftmaxGradient, type Picks } from "./kernels/softmax.ts"
import type { Context, Lowering, Tensor } from "./Lowering.ts"
import { floats, opaque } from "./Lowering.ts"
import type { Handle } from "./native.ts"
import type { Torch } from "./Torch.ts"

/** Logits kept between forward and backward, or made at once: 2^28 floats, 1 GiB. */
const kept = 2 ** 28

interface Chunk {
  /** Predicting rows [from, to). */
  readonly from: number
  readonly to: number
  /** Completion tokens that they predict. */
  readonly tokens: ReadonlyArray<number>
}

const chunksOf = (rows: number, vocabulary: number, predictor: Int32Array): ReadonlyArray<Chunk> => {
  const size = Math.max(1, Math.min(rows, Math.floor(kept / vocabulary)))
  const chunks = Array.from({ length: Math.ceil(rows / size) }, (_, i) => ({
    from: i * size,
    to: Math.min(rows, (i + 1) * size),
    tokens: [] as Array<number>
  }))
  predictor.forEach((row, n) => chunks[Math.floor(row / size)]!.tokens.push(n))
  return chunks
}

/** logits [rows, V] and their log-sums [rows, 1] for one chunk. */
const logitsOf = (
  { from, to }: Chunk,
  hidden: Tensor,
  head: Tensor,
  { softCap }: HeadAttributes,
  { torch }: Context
) => {
  const rows = torch.call("narrow", hidden.handles[0]!, 0, from, to - from)
  let logits = torch.call("mm", rows, torch.call("t", head.handles[0]!))
  const { float32 } = torch.native.dtypes
  if (softCap !== undefined) {
    logits = torch.cast(logits, float32)
    torch.call("mul_.Tensor", logits, torch.upload(Float32Array.of(1 / softCap), [1]))
    torch.call("tanh_", logits)
    torch.call("mul_.Tensor", logits, torch.upload(Float32Array.of(softCap), [1]))
  }
  const logSums = launchLogSums(torch, logits, to - from, head.shape[0]!)
    ?? torch.call("logsumexp", torch.cast(logits, float32), [1], true)
  return { rows, logits, logSums }
}

export const tokenLogProb: Lowering<"tokenLogProb"> = ({ head, hidden, predictor, targets }, attributes, context) => {
  const { torch } = context
  const vocabulary = head.shape[0]!
  const bad = targets.ints.findIndex((token) => token < 0 || token >= vocabulary)
  if (bad !== -1) throw new Error(`token ${targets.ints[bad]} is outside the vocabulary of ${vocabulary}`)
  const chunks = chunksOf(hidden.shape[0]!, vocabulary, predictor.ints)
  const { float32 } = torch.native.dtypes
  const logProb = torch.empty([targets.ints.length], float32)
  const saved: Array<Handle> = []
  for (const chunk of chunks) {
    const { logSums, logits } = logitsOf(chunk, hidden, head, attributes, context)
    const row = torch.uploadIndex(Int32Array.from(chunk.tokens, (n) => predictor.ints[n]! - chunk.from))
    const token = torch.uploadIndex(Int32Array.from(chunk.tokens, (n) => targets.ints[n]!))
    const picked = torch.call("index.Tensor", logits, [row, token])
    const sums = torch.call("index_select", torch.call("view", logSums, [chunk.to - chunk.from]), 0, row)
    const place = torch.uploadIndex(Int32Array.from(chunk.tokens))
    torch.call("index_put_", logProb, [place], torch.add(torch.cast(picked, float32), sums, -1))
    if (chunks.length === 1) saved.push(logits, logSums)
  }
  return { logProb: floats(logProb, targets.shape), saved: opaque(saved) }
}

/** entries - weights softmax(logits), bent by the soft cap; a subtraction in place would need a Scalar, which does not cross the ABI. */
const slopesOf = (
  { entries, weights }: Picks,
  logits: Handle,
  logSums: Handle,
  vocabulary: number,
  softCap: number | undefined,
  torch: Torch
): Handle => {
  const shifted = torch.add(torch.cast(logits, torch.native.dtypes.float32), logSums, -1)
  torch.call("exp_", shifted)
  torch.call("mul_.Tensor", shifted, torch.upload(weights.map((c) => -c), [weights.length, 1]))
  const values = torch.upload(Float64Array.from(entries.values()), [entries.size])
  const flat = Array.from(entries.keys())
  const row = torch.uploadIndex(Int32Array.from(flat, (entry) => Math.floor(entry / vocabulary)))
  const token = torch.uploadIndex(Int32Array.from(flat, (entry) => entry % vocabulary))
  torch.call("index_put_", shifted, [row, token], values, true)
  if (softCap !== undefined) {
    const bent = torch.call("mul.Tensor", logits, torch.upload(Float32Array.of(1 / softCap), [1]))
    torch.native.copy(shifted, torch.call("tanh_backward", shifted, bent))
  }
  return torch.cast(shifted, torch.floats)
}

export const tokenLogProbBackward: Lowering<"tokenLogProbBackward"> = (inputs, attributes, context) => {
  const { cotangent, head, hidden, predictor, saved, targets } = inputs
  const { torch } = context
  const [vocabulary, width] = head.shape as [number, number]
  const parts: Array<Handle> = []
  let dHead: Handle | undefined
  for (const chunk of chunksOf(hidden.shape[0]!, vocabulary, predictor.ints)) {
    const again = saved.handles.length === 0 ? logitsOf(chunk, hidden, head, attributes, context) : undefined
    const rows = again?.rows ?? hidden.handles[0]!
    const logits = again?.logits ?? saved.handles[0]!
    const logSums = again?.logSums ?? saved.handles[1]!
    const weights = new Float64Array(chunk.to - chunk.from)
    // entries of one row and token are summed here, so that none repeats and no sum on the device can race
    const entries = new Map<number, number>()
    for (const n of chunk.tokens) {
      const row = predictor.ints[n]! - chunk.from
      const entry = row * vocabulary + targets.ints[n]!
      weights[row] = weights[row]! + cotangent.host[n]!
      entries.set(entry, (entries.get(entry) ?? 0) + cotangent.host[n]!)
    }
    const picks = { entries, weights }
    const { softCap } = attributes
    const spare = again !== undefined || context.spare(saved)
    const given = { logits, sums: logSums, picks, width: vocabulary, softCap, spare }
    const slopes = launchSoftmaxGradient(torch, given)
      ?? slopesOf(picks, logits, logSums, vocabulary, softCap, torch)
    parts.push(torch.call("mm", slopes, head.handles[0]!))
    const left = torch.call("t", slopes)
    if (dHead === undefined) dHead = torch.call("mm", left, rows)
    else torch.native.addmm(dHead, dHead, left, rows, 1)
  }
  const dHidden = parts.length === 1 ? parts[0]! : torch.call("cat", parts, 0)
  return { hidden: floats(dHidden, hidden.shape), head: floats(dHead!, [vocabulary, width]) }
}
