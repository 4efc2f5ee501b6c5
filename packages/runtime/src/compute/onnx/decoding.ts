// The ONNX models of generation: `prefill` computes prompts and leaves their keys and values, `step` takes one token per
// branch and reads the keys and values before it from inputs, which onnxruntime does not copy. Outputs are always copied, so a
// cache that went through the graph would be copied for every token; only the new rows come out, and the host appends them.
import { logitsOf } from "../../generation/logits.ts"
import type { Forward } from "../../model/Family.ts"
import type { Node, NodeOf, Value } from "../Graph.ts"
import { type Context, contextOf, lower } from "./Lowering.ts"
import { type Model, program } from "./Program.ts"
import type { Layout } from "./tiles.ts"

export const decodingName = {
  logits: "logits",
  /** Rows that a run makes, for the attention of that number: [T, kvHeads * headDim], in a step [G * kvHeads * branches, headDim]. */
  newKeys: (layer: number) => `new keys ${layer}`,
  newValues: (layer: number) => `new values ${layer}`,
  /** [P, G * kvHeads, headDim] of the prompts without their last token, at least one row. */
  promptKeys: (layer: number) => `prompt keys ${layer}`,
  promptValues: (layer: number) => `prompt values ${layer}`,
  /** [t, G * kvHeads * branches, headDim] of the prompts' last token and what was fed after it, as far as a window shows it. */
  branchKeys: (layer: number) => `branch keys ${layer}`,
  branchValues: (layer: number) => `branch values ${layer}`,
  /** [G * kvHeads, 1, P] added to scores: low where a prompt has no such row, or none that the window shows. */
  promptMask: (window: Window) => `prompt mask ${window}`,
  /** [3] P, t and 1: how scores are cut. */
  cut: (window: Window) => `cut ${window}`
}

/** Positions that a query sees, its own included. */
export type Window = number | undefined

const isAttention = (node: Node): node is NodeOf<"attention"> & Node => node.operation === "attention"

export interface AttentionShape {
  readonly kvHeads: number
  readonly headDim: number
  readonly window: Window
}
/** Of each attention in order. */
export const attentionsOf = ({ graph }: Forward): ReadonlyArray<AttentionShape> =>
  graph.nodes.filter(isAttention).map(({ attributes: { headDim, kvHeads, window } }) => ({
    headDim,
    kvHeads,
    window
  }))

/** `layout` without branches. */
export const prefillModel = (forward: Forward, layout: Layout): Model => {
  const { graph } = logitsOf(forward)
  const building = program()
  const context = contextOf(building, layout)
  lower(graph.nodes, context)
  building.output(decodingName.logits, context.of(graph.outputs[0]!), "float32")
  graph.nodes.filter(isAttention).forEach(({ inputs: { k, v } }, layer) => {
    building.output(decodingName.newKeys(layer), context.of(k), "float32")
    building.output(decodingName.newValues(layer), context.of(v), "float32")
  })
  return building.finish()
}

/**
 * One token against a cache in two parts: the prompt's, read once for all branches, and the branch's own. Both lie by
 * position first, so that what is filled is contiguous, and FusedMatMul walks them by stride. Queries of a group are stacked
 * [G * kvHeads, branches * shared, headDim] for the prompt; for the branches the same memory is
 * [G * kvHeads * branches, shared, headDim].
 */
const cachedAttention = ({ attributes, inputs, outputs }: NodeOf<"attention">, layer: number, context: Context) => {
  const { program: { constant, input, node, nodes, output, reshape }, layout: { branches } } = context
  const { headDim, heads, kvHeads, scale, softCap, window } = attributes
  const shared = heads / kvHeads
  const stacked = branches * shared
  /** [G * branches, kvHeads * width] -> [G, kvHeads, branches, width] in memory; the same for one branch. */
  const byHead = (x: string, width: number): string =>
    branches === 1
      ? x
      : node("Transpose", [reshape(x, -1, branches, kvHeads, width)], { perm: [0, 2, 1, 3] })
  const product = (a: string, b: string, flags: Readonly<Record<string, number | { readonly float: number }>>) =>
    node("FusedMatMul", [a, b], flags)
  const name = decodingName
  const q = byHead(context.of(inputs.q), shared * headDim)
  const k = reshape(byHead(context.of(inputs.k), headDim), -1, headDim)
  const v = reshape(byHead(context.of(inputs.v), headDim), -1, headDim)
  output(name.newKeys(layer), k, "float32")
  output(name.newValues(layer), v, "float32")
  const ofGroup = reshape(q, -1, stacked, headDim)
  const ofBranch = reshape(q, -1, shared, headDim)
  const [promptKeys, promptValues, branchKeys, branchValues] = [
    name.promptKeys(layer),
    name.promptValues(layer),
    name.branchKeys(layer),
    name.branchValues(layer)
  ].map((each) => input(each, "float32")) as [string, string, string, string]

  const own = { alpha: { float: scale / (softCap ?? 1) }, transB: 1 }
  const cached = { ...own, transBatchB: 1 }
  const capped = (scores: string): string =>
    softCap === undefined ? scores : node("Mul", [node("Tanh", [scores]), constant("float32", [softCap], [])])
  const toPrompt = node("Add", [
    capped(product(ofGroup, promptKeys, cached)),
    input(name.promptMask(window), "float32")
  ])
  const toBranch = capped(reshape(product(ofBranch, branchKeys, cached), -1, stacked, 0))
  const toSelf = capped(reshape(product(ofBranch, reshape(k, -1, 1, headDim), own), -1, stacked, 1))
  const p = node("Softmax", [node("Concat", [toPrompt, toBranch, toSelf], { axis: 2 })], { axis: -1 })
  const [onPrompt, onBranch, onSelf] = nodes("Split", [p, input(name.cut(window), "int64")], 3, { axis: 2 })
  const fromPrompt = product(onPrompt!, promptValues, { transBatchB: 1 })
  const fromBranch = product(reshape(onBranch!, -1, shared, 0), branchValues, { transBatchB: 1 })
  const fromSelf = node("MatMul", [reshape(onSelf!, -1, shared, 1), reshape(v, -1, 1, headDim)])
  const seen = node("Add", [fromPrompt, reshape(node("Add", [fromBranch, fromSelf]), -1, stacked, headDim)])
  const rows = branches === 1
    ? seen
    : node("Transpose", [reshape(seen, -1, kvHeads, branches, shared * headDim)], { perm: [0, 2, 1, 3] })
  context.bind(outputs.y, reshape(rows, -1, heads * headDim))
}

export const stepModel = (forward: Forward, branches: number): Model => {
  const { graph, logits } = logitsOf(forward)
  const building = program()
  const context = contextOf(building, { groups: 1, branches, promptTiles: 1 })
  let layer = 0
  for (const each of graph.nodes) {
    if (isAttention(each)) cachedAttention(each, layer++, context)
    else if (each.operation === "gatherRows" && isRows(each.inputs.rows)) {
      // Every row predicts.
      context.bind(each.outputs.y, context.of(each.inputs.x))
    } else lower([each], context)
  }
  building.output(decodingName.logits, context.of(logits), "float32")
  return building.finish()
}

const isRows = (value: Value): boolean => "source" in value && value.name === "rows"
