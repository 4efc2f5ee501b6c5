// How each operation becomes ONNX nodes. A new operation fails to compile here until it has a row.
import type { OperationName } from "../Graph.ts"
import { attention, attentionBackward, belowCap } from "./attention.ts"
import { gelu, geluBackward } from "./gelu.ts"
import type { Context, Lowering } from "./Lowering.ts"
import { layerNorm, layerNormBackward, rmsNorm, rmsNormBackward } from "./norms.ts"
import type { Program } from "./Program.ts"

/** op(a) op(b) + c */
const gemm = (
  { program }: Context,
  a: string,
  b: string,
  { c, transA, transB }: { readonly c: string | undefined; readonly transA: boolean; readonly transB: boolean }
): string =>
  program.node("Gemm", c === undefined ? [a, b] : [a, b, c], { transA: Number(transA), transB: Number(transB) })

/** Indices as ScatterND and flat arithmetic want them. */
const wide = ({ program }: Context, indices: string): string =>
  program.once(`int64 ${indices}`, () => program.node("Cast", [indices], { to: 7 }))

/** QuickGelu with alpha 1. The gradient reads what the forward pass made. */
const silu = ({ node, once }: Program, x: string): string =>
  once(`silu ${x}`, () => node("QuickGelu", [x], { alpha: { float: 1 } }))

const flatEntries = (context: Context, predictor: string, targets: string, vocabulary: number): string => {
  const { constant, node, once } = context.program
  return once(`entries ${predictor} ${targets} ${vocabulary}`, () => {
    const row = node("Mul", [wide(context, predictor), constant("int64", [vocabulary], [])])
    return node("Add", [row, wide(context, targets)])
  })
}

/** What the head keeps: [M, V] each. */
interface KeptHead {
  readonly logSoftmax: string
  /** tanh(logit / softCap), where logits have a cap. */
  readonly bent: string | undefined
}

export const lowerings: { readonly [N in OperationName]: Lowering<N> } = {
  add: ({ inputs: { a, b }, outputs: { y } }, { bind, of, program }) => bind(y, program.node("Add", [of(a), of(b)])),

  attention,
  attentionBackward,

  columns: ({ attributes: { from, period, to }, inputs: { x }, outputs: { y } }, { bind, of, program }) => {
    const { constant, node, reshape } = program
    const [first, end, axis] = [[from], [to], [2]].map((at) => constant("int64", at)) as [string, string, string]
    const parts = node("Slice", [reshape(of(x), -1, x.shape[1] as number / period, period), first, end, axis])
    bind(y, reshape(parts, -1, y.shape[1] as number))
  },

  embedding: ({ inputs: { ids, table }, outputs: { y } }, { bind, of, program }) =>
    bind(y, program.node("Gather", [of(table), of(ids)])),

  gatherRows: ({ inputs: { rows, x }, outputs: { y } }, { bind, of, program }) =>
    bind(y, program.node("Gather", [of(x), of(rows)])),

  gelu,
  geluBackward,
  layerNorm,
  layerNormBackward,

  mm: ({ attributes, inputs: { a, accumulator, b }, outputs: { y } }, context) => {
    const c = accumulator === undefined ? context.takeSum(y) : context.of(accumulator)
    const made = gemm(context, context.of(a), context.of(b), { ...attributes, c })
    // A weight's gradient is made before what flows on from the same cotangent, while that is in the cache.
    const before = context.taken(a)
    if (attributes.transA) before.push(made)
    context.bind(
      y,
      attributes.transA || before.length === 0 ? made : context.program.after(before, made, -1, y.shape[1] as number)
    )
  },

  multiply: ({ inputs: { a, b }, outputs: { y } }, { bind, of, program }) =>
    bind(y, program.node("Mul", [of(a), of(b)])),

  rmsNorm,
  rmsNormBackward,

  // Rows go in as sequences of length 1: with one long sequence the kernel refuses more rows than the table has.
  rope: ({ attributes, inputs, outputs: { y } }, { bind, of, program }) => {
    const { constant, node, once } = program
    const axis = constant("int64", [1])
    const [positions, sin] = [of(inputs.positions), of(inputs.sin)]
    const column = once(`column ${positions}`, () => node("Unsqueeze", [positions, axis]))
    const turn = attributes.inverse ? once(`minus ${sin}`, () => node("Neg", [sin])) : sin
    const width = inputs.x.shape[1] as number
    const partly = { rotary_embedding_dim: attributes.dims, num_heads: width / attributes.headDim }
    const turned = node("RotaryEmbedding", [node("Unsqueeze", [of(inputs.x), axis]), column, of(inputs.cos), turn], {
      interleaved: Number(attributes.style === "interleaved"),
      ...(attributes.dims < attributes.headDim ? partly : {})
    })
    bind(y, node("Squeeze", [turned, axis]))
  },

  scale: ({ attributes: { factor }, inputs: { x }, outputs: { y } }, { bind, of, program: { constant, node } }) =>
    bind(y, node("Mul", [of(x), constant("float32", [factor], [])])),

  scatterAddRows: ({ attributes: { count, unique }, inputs, outputs: { y } }, context) => {
    // ScatterND that adds races between threads; sums over repeated rows are the host's (see models.ts).
    if (!unique) throw new Error("rows that repeat are summed on the host, as gradients of weights only")
    const { bind, of, program: { constant, input, node, once } } = context
    const [rows, x] = [of(inputs.rows), of(inputs.x)]
    const index = once(`index ${rows}`, () => node("Unsqueeze", [wide(context, rows), constant("int64", [1])]))
    if (inputs.accumulator !== undefined) {
      const sum = of(inputs.accumulator)
      return bind(y, node("ScatterND", [sum, index, node("Add", [node("Gather", [sum, rows]), x])]))
    }
    const width = constant("int64", [inputs.x.shape[1] as number])
    const height = typeof count === "number" ? constant("int64", [count]) : node("Shape", [input("tokens", "int32")])
    bind(y, node("ScatterND", [node("ConstantOfShape", [node("Concat", [height, width], { axis: 0 })]), index, x]))
  },

  softCap: ({ attributes: { cap }, inputs: { x }, outputs: { y } }, { bind, of, program: { constant, node } }) => {
    const factor = constant("float32", [cap], [])
    bind(y, node("Mul", [node("Tanh", [node("Div", [of(x), factor])]), factor]))
  },

  spreadColumns: ({ attributes: { from, period, to }, inputs, outputs: { y } }, { bind, of, program }) => {
    const { constant, node, reshape } = program
    const width = y.shape[1] as number
    const parts = reshape(of(inputs.x), -1, width / period, to - from)
    const padded = reshape(node("Pad", [parts, constant("int64", [0, 0, from, 0, 0, period - to])]), -1, width)
    bind(y, inputs.accumulator === undefined ? padded : node("Add", [of(inputs.accumulator), padded]))
  },

  sumRows: ({ inputs: { x }, outputs: { y } }, { bind, of, program: { constant, node } }) =>
    bind(y, node("ReduceSum", [of(x), constant("int64", [0])], { keepdims: 0 })),

  swiglu: ({ inputs: { gate, up }, outputs: { y } }, { bind, of, program }) =>
    bind(y, program.node("Mul", [silu(program, of(gate)), of(up)])),

  swigluBackward: ({ inputs, outputs }, { bind, of, program }) => {
    const { constant, node } = program
    const [cotangent, gate, up] = [of(inputs.cotangent), of(inputs.gate), of(inputs.up)]
    const s = node("Sigmoid", [gate])
    const z = silu(program, gate)
    const rest = node("Mul", [s, node("Sub", [constant("float32", [1], []), z])])
    bind(outputs.up, node("Mul", [cotangent, z]))
    bind(outputs.gate, node("Mul", [node("Mul", [cotangent, up]), node("Add", [z, rest])]))
  },

  tokenLogProb: ({ attributes: { softCap }, inputs, outputs }, context) => {
    const { bind, keep, of, program: { constant, node, reshape } } = context
    const plain = gemm(context, of(inputs.hidden), of(inputs.head), { c: undefined, transA: false, transB: true })
    const cap = () => constant("float32", [softCap!], [])
    const bent = softCap === undefined ? undefined : node("Tanh", [node("Div", [plain, cap()])])
    const logits = bent === undefined ? plain : node("Mul", [bent, cap()])
    const logSoftmax = node("LogSoftmax", [logits], { axis: -1 })
    const vocabulary = inputs.head.shape[0] as number
    const entries = flatEntries(context, of(inputs.predictor), of(inputs.targets), vocabulary)
    bind(outputs.logProb, node("Gather", [reshape(logSoftmax, -1), entries]))
    keep(outputs.saved, { logSoftmax, bent } satisfies KeptHead)
  },

  tokenLogProbBackward: ({ inputs, outputs }, context) => {
    const { bind, kept, of, program, takeSum } = context
    const { constant, node, reshape } = program
    const { bent, logSoftmax } = kept(inputs.saved) as KeptHead
    const [cotangent, predictor] = [of(inputs.cotangent), of(inputs.predictor)]
    const entries = flatEntries(context, predictor, of(inputs.targets), inputs.head.shape[0] as number)
    const shape = node("Shape", [logSoftmax])
    const rows = node("Slice", [shape, constant("int64", [0]), constant("int64", [1])])
    const add = { axis: 0, reduction: "add" }
    const perRow = node("ScatterElements", [
      node("ConstantOfShape", [rows]),
      wide(context, predictor),
      node("Neg", [cotangent])
    ], add)
    const spread = node("Mul", [
      node("Exp", [logSoftmax]),
      reshape(perRow, -1, 1)
    ])
    const flat = reshape(spread, -1)
    const uncapped = node("Reshape", [node("ScatterElements", [flat, entries, cotangent], add), shape])
    const logits = bent === undefined ? uncapped : belowCap(program, uncapped, bent)
    const plain = { c: undefined, transA: false, transB: false }
    const head = gemm(context, logits, of(inputs.hidden), { ...plain, transA: true, c: takeSum(outputs.head) })
    const hidden = gemm(context, logits, of(inputs.head), plain)
    bind(outputs.head, head)
    bind(outputs.hidden, program.after([head], hidden, -1, inputs.hidden.shape[1] as number))
  }
}
