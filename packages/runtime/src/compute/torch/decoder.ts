// Generation with a cache that stays where it is: keys and values of each attention in two tensors, the prompts' (read once
// for all samples of a prompt) and the branches', whose first row is the prompt's last token. A step writes one row to each.
import type { Decoder } from "../../generation/Decoder.ts"
import { logitsOf } from "../../generation/logits.ts"
import { pieces, promptBatch } from "../../generation/promptBatch.ts"
import { promptMask } from "../../generation/promptMask.ts"
import type { Forward } from "../../model/Family.ts"
import type { Batch } from "../Batch.ts"
import type { Node, NodeOf, Value } from "../Graph.ts"
import { floats, type Tensor } from "./Lowering.ts"
import type { Handle } from "./native.ts"
import { type Attend, startRun, type Tables } from "./Run.ts"
import type { Torch } from "./Torch.ts"

type Attention = NodeOf<"attention">

/** Keys or values of one attention. */
interface Cache {
  /** [G, kvHeads, P, headDim], the prompts without their last token */
  readonly prompt: Handle
  /** [G, kvHeads, branches, 1 + room, headDim] */
  readonly branch: Handle
}

const isAttention = (node: Node): node is Attention & Node => node.operation === "attention"

export interface ClosableDecoder extends Decoder {
  readonly close: () => void
}

export const decoderOf = (
  torch: Torch,
  narrow: Torch,
  forward: Forward,
  weights: ReadonlyMap<Value, Tensor>,
  tables: Tables
): ClosableDecoder => {
  const { graph, logits, vocabulary } = logitsOf(forward)
  const attentions = graph.nodes.filter(isAttention)
  const layerOf = new Map(attentions.map((node, layer) => [node.outputs.y, layer]))
  let branches = 1
  /** Tokens of each prompt. */
  let lengths: ReadonlyArray<number> = []
  /** Rows of the prompts' caches. */
  let longest = 1
  /** Filled rows of the branches' caches, of 1 + `room`. */
  let filled = 1
  let room = 0
  let keys: ReadonlyArray<Cache> = []
  let values: ReadonlyArray<Cache> = []

  const drop = (): void => {
    torch.free([...keys, ...values].flatMap(({ branch, prompt }) => [prompt, branch]))
    keys = []
    values = []
  }
  const emptyCache = ({ attributes: { headDim, kvHeads } }: Attention): Cache =>
    torch.scope((keep) => ({
      // rows that a shorter prompt has not are masked, and must be numbers
      prompt: keep(narrow.zeros([lengths.length, kvHeads, longest, headDim])),
      branch: keep(narrow.empty([lengths.length, kvHeads, branches, 1 + room, headDim]))
    }))

  /** Rows [T, kvHeads * headDim] of the prompts `from` on: the last token's goes to every branch, the others to the prompt. */
  const store = (
    cache: Cache,
    { attributes: { headDim, kvHeads } }: Attention,
    rows: Handle,
    from: number,
    to: number
  ) =>
    torch.scope(() => {
      const width = kvHeads * headDim
      let t = 0
      for (let g = from; g < to; g++) {
        const before = lengths[g]! - 1
        if (before > 0) {
          torch.native.copy(
            torch.strided(
              cache.prompt,
              [kvHeads, before, headDim],
              [longest * headDim, headDim, 1],
              g * width * longest
            ),
            torch.strided(rows, [kvHeads, before, headDim], [headDim, width, 1], t * width)
          )
        }
        const step = (1 + room) * headDim
        torch.native.copy(
          torch.strided(
            cache.branch,
            [kvHeads, branches, headDim],
            [branches * step, step, 1],
            g * kvHeads * branches * step
          ),
          torch.strided(rows, [kvHeads, branches, headDim], [headDim, 0, 1], (t + before) * width)
        )
        t += before + 1
      }
    })

  /** [G * kvHeads, 1, P] */
  const maskOf = (kvHeads: number, window: number | undefined): Handle =>
    torch.upload(
      promptMask(lengths, { filled, kvHeads, longest, low: -Infinity, window }),
      [lengths.length * kvHeads, 1, longest]
    )

  const attend: Attend = ({ attributes, outputs }, { k, q, v }) => {
    const layer = layerOf.get(outputs.y)!
    const { headDim, heads, kvHeads, scale, softCap, window } = attributes
    const [groups, shared] = [lengths.length, heads / kvHeads]
    const [all, stacked] = [groups * kvHeads, branches * shared]
    const call = torch.call
    const times = (x: Handle, factor: number) => call("mul.Tensor", x, torch.upload(Float32Array.of(factor), [1]))
    /** [G * branches, kvHeads * width] -> [G, kvHeads, branches, width] */
    const byHead = (x: Handle, width: number): Handle =>
      torch.strided(
        x,
        [groups, kvHeads, branches, width],
        [branches * kvHeads * width, width, kvHeads * width, 1],
        0
      )
    const step = (1 + room) * headDim
    const append = (cache: Cache, row: Tensor): void =>
      torch.native.copy(
        torch.strided(
          cache.branch,
          [groups, kvHeads, branches, headDim],
          [kvHeads * branches * step, branches * step, step, 1],
          filled * headDim
        ),
        byHead(row.handles[0]!, headDim)
      )
    append(keys[layer]!, k)
    append(values[layer]!, v)
    const from = Math.max(0, filled - (window ?? Infinity) + 1)
    const seen = filled + 1 - from
    /** [G * kvHeads * branches, seen, headDim] */
    const recent = ({ branch }: Cache): Handle =>
      torch.strided(branch, [all * branches, seen, headDim], [step, headDim, 1], from * headDim)
    const before = ({ prompt }: Cache): Handle => call("view", prompt, [all, longest, headDim])
    const turned = (x: Handle): Handle => call("transpose.int", x, 1, 2)

    const asking = call("reshape", byHead(q.handles[0]!, shared * headDim), [all, stacked, headDim])
    const perBranch = call("view", asking, [all * branches, shared, headDim])
    const capped = (products: Handle): Handle =>
      softCap === undefined
        ? times(products, scale)
        : times(call("tanh", times(products, scale / softCap)), softCap)
    const onPrompt = torch.add(
      capped(call("bmm", asking, turned(before(keys[layer]!)))),
      maskOf(kvHeads, window)
    )
    const onBranch = capped(call("bmm", perBranch, turned(recent(keys[layer]!))))
    const scores = call("cat", [onPrompt, call("view", onBranch, [all, stacked, seen])], 2)
    const p = torch.cast(call("_softmax", scores, 2, false), narrow.floats)
    const fromPrompt = call("bmm", call("narrow", p, 2, 0, longest), before(values[layer]!))
    const ofBranch = call("reshape", call("narrow", p, 2, longest, seen), [all * branches, shared, seen])
    const fromBranch = call("view", call("bmm", ofBranch, recent(values[layer]!)), [all, stacked, headDim])
    const y = narrow.empty([groups * branches, heads * headDim])
    torch.native.copy(
      byHead(y, shared * headDim),
      call("view", torch.add(fromPrompt, fromBranch), [groups, kvHeads, branches, shared * headDim])
    )
    return floats(y, [groups * branches, heads * headDim])
  }

  /** Logits, and what `taken` reads while the run is there. */
  const through = (
    batch: Batch,
    kept: ReadonlyArray<Value>,
    taken: (of: (value: Value) => Handle) => void,
    by?: Attend
  ) => {
    const run = startRun(torch, narrow, graph, batch, weights, tables, by)
    try {
      run.through(graph, [logits, ...kept])
      taken((value) => run.get(value).handles[0]!)
      return torch.download(run.get(logits).handles[0]!, batch.rows.length * vocabulary)
    } finally {
      run.close()
    }
  }
  return {
    vocabulary,
    prefill: async (prompts, count, steps) => {
      drop()
      branches = count
      room = steps
      filled = 1
      lengths = prompts.map(({ length }) => length)
      longest = Math.max(1, ...lengths.map((length) => length - 1))
      keys = attentions.map(emptyCache)
      values = attentions.map(emptyCache)
      const made = new Float32Array(prompts.length * vocabulary)
      for (const [from, to] of pieces(prompts, [])) {
        const kept = attentions.flatMap(({ inputs: { k, v } }) => [k, v])
        const part = through(promptBatch(prompts.slice(from, to)), kept, (of) =>
          attentions.forEach((node, layer) => {
            store(keys[layer]!, node, of(node.inputs.k), from, to)
            store(values[layer]!, node, of(node.inputs.v), from, to)
          }))
        made.set(part, from * vocabulary)
      }
      return made
    },
    step: async (tokens) => {
      const rows = Int32Array.from(tokens.keys())
      const positions = Int32Array.from(tokens, (_, i) => lengths[Math.floor(i / branches)]! + filled - 1)
      const none = new Int32Array(0)
      const batch: Batch = {
        groups: lengths.length,
        branches,
        tokens,
        positions,
        rows,
        segments: none,
        predictor: none,
        targets: none,
        lengths: none
      }
      const made = through(batch, [], () => {}, attend)
      filled += 1
      return made
    },
    keep: (groups) => {
      const chosen = (cache: Cache): Cache =>
        torch.scope((keep) => {
          const index = torch.uploadIndex(Int32Array.from(groups))
          const [prompt, branch] = [cache.prompt, cache.branch].map((x) =>
            keep(torch.call("index_select", x, 0, index))
          )
          return { prompt: prompt!, branch: branch! }
        })
      const [keptKeys, keptValues] = [keys.map(chosen), values.map(chosen)]
      drop()
      keys = keptKeys
      values = keptValues
      lengths = groups.map((g) => lengths[g]!)
    },
    close: drop
  }
}
