// Every operation of the computation graph as calls to libtorch.
import type { OperationName } from "../Graph.ts"
import type { ColumnsAttributes } from "../operations/columns.ts"
import { gatherInts } from "../operations/gatherRows.ts"
import { sizeOf } from "../sizes.ts"
import { attention, attentionBackward } from "./attention.ts"
import { tokenLogProb, tokenLogProbBackward } from "./head.ts"
import { type Context, floats, ints, type Lowering, type Tensor } from "./Lowering.ts"
import { layerNorm, layerNormBackward, rmsNorm, rmsNormBackward } from "./norms.ts"

const add: Lowering<"add"> = ({ a, b }, _, { torch }) => ({
  y: floats(torch.add(a.handles[0]!, b.handles[0]!), a.shape)
})

/** [R, n, to - from] of x [R, n period]: a view. */
const columnsOf = (
  x: Tensor,
  { from, period, to }: ColumnsAttributes,
  { torch }: Context
) => {
  const [rows, width] = x.shape as [number, number]
  return torch.strided(x.handles[0]!, [rows, width / period, to - from], [width, period, 1], from)
}

const columns: Lowering<"columns"> = ({ x }, attributes, context) => {
  const { from, period, to } = attributes
  const [rows, parts] = [x.shape[0]!, x.shape[1]! / period]
  const y = context.torch.empty([rows, parts, to - from])
  context.torch.native.copy(y, columnsOf(x, attributes, context))
  const shape = [rows, parts * (to - from)]
  return { y: floats(context.torch.call("view", y, shape), shape) }
}

const spreadColumns: Lowering<"spreadColumns"> = ({ accumulator, x }, attributes, context) => {
  const { spare, torch } = context
  const { from, period, to } = attributes
  const [rows, parts] = [x.shape[0]!, x.shape[1]! / (to - from)]
  const shape = [rows, parts * period]
  const y = accumulator === undefined
    ? torch.zeros(shape)
    : spare(accumulator)
    ? torch.alias(accumulator.handles[0]!)
    : torch.call("clone", accumulator.handles[0]!)
  const place = columnsOf(floats(y, shape), attributes, context)
  const addend = torch.call("view", x.handles[0]!, [rows, parts, to - from])
  torch.native.copy(place, accumulator === undefined ? addend : torch.add(place, addend))
  return { y: floats(y, shape) }
}

/** A number as a tensor that multiplies any other. `of` is what the number belongs to. */
const factor = (of: object, value: number, { once, torch }: Context) =>
  once(of, `factor ${value}`, () => torch.upload(Float32Array.of(value), [1]))

const scale: Lowering<"scale"> = ({ x }, attributes, context) => ({
  y: floats(context.torch.call("mul.Tensor", x.handles[0]!, factor(attributes, attributes.factor, context)), x.shape)
})

const softCap: Lowering<"softCap"> = ({ x }, attributes, context) => {
  const { torch } = context
  const y = torch.call("mul.Tensor", x.handles[0]!, factor(attributes, 1 / attributes.cap, context))
  torch.call("tanh_", y)
  torch.call("mul_.Tensor", y, factor(attributes, attributes.cap, context))
  return { y: floats(y, x.shape) }
}

const multiply: Lowering<"multiply"> = ({ a, b }, _, { torch }) => ({
  y: floats(torch.call("mul.Tensor", a.handles[0]!, b.handles[0]!), a.shape)
})

const gelu: Lowering<"gelu"> = ({ x }, { approximation }, { torch }) => ({
  y: floats(torch.call("gelu", x.handles[0]!, approximation), x.shape)
})

const geluBackward: Lowering<"geluBackward"> = ({ cotangent, x }, { approximation }, { torch }) => ({
  y: floats(torch.call("gelu_backward", cotangent.handles[0]!, x.handles[0]!, approximation), x.shape)
})

const embedding: Lowering<"embedding"> = ({ ids, table }, _, { index, torch }) => {
  const bad = ids.ints.findIndex((id) => id < 0 || id >= table.shape[0]!)
  if (bad !== -1) throw new Error(`token ${ids.ints[bad]} is outside the vocabulary of ${table.shape[0]}`)
  const y = torch.call("index_select", table.handles[0]!, 0, index(ids.ints))
  return { y: floats(y, [ids.ints.length, table.shape[1]!]) }
}

const gatherRows: Lowering<"gatherRows"> = ({ rows, x }, _, { index, torch }) => ({
  y: x.shape.length === 1
    ? ints(gatherInts(x.ints, rows.ints))
    : floats(torch.call("index_select", x.handles[0]!, 0, index(rows.ints)), [rows.ints.length, x.shape[1]!])
})

const mm: Lowering<"mm"> = ({ a, accumulator, b }, { transA, transB }, { into, spare, torch }) => {
  // strides say the transposition to the matrix product; nothing is copied
  const left = transA ? torch.call("t", a.handles[0]!) : a.handles[0]!
  const right = transB ? torch.call("t", b.handles[0]!) : b.handles[0]!
  const shape = [transA ? a.shape[1]! : a.shape[0]!, transB ? b.shape[0]! : b.shape[1]!]
  if (accumulator === undefined) {
    if (into === undefined) return { y: floats(torch.call("mm", left, right), shape) }
    torch.native.addmm(into, into, left, right, 1)
    return { y: floats(into, shape) }
  }
  const self = accumulator.handles[0]!
  const y = accumulator.shape.length === 2 && spare(accumulator) ? torch.alias(self) : torch.empty(shape)
  torch.native.addmm(y, self, left, right, 1)
  return { y: floats(y, shape) }
}

const rope: Lowering<"rope"> = ({ cos, positions, sin, x }, attributes, { index, once, torch }) => {
  const { dims, headDim, inverse, style } = attributes
  const [rows, width] = x.shape as [number, number]
  const heads = width / headDim
  const half = dims / 2
  const turns = (table: typeof cos, name: string) =>
    // positions are a batch's all or its predicting rows', and these are as many only where they are the same
    once(table, `${name} of ${rows} positions`, () => {
      const chosen = torch.call("index_select", table.handles[0]!, 0, index(positions.ints))
      return torch.call("view", chosen, [rows, 1, half])
    })
  const part = (first: number) =>
    torch.strided(x.handles[0]!, [rows, heads, half], [width, headDim, style === "half" ? 1 : 2], first)
  const sign = inverse ? -1 : 1
  if (style === "half" && dims === headDim) {
    // y = x [c, c] + sign [v, u] [-s, s], with angles across all heads: vectors as long as rows, where halves of a head are short
    const across = (table: typeof cos, name: string, minus: boolean) =>
      once(table, `${name} of ${rows} positions across ${width}`, () => {
        const angles = turns(table, name)
        const pair = torch.call("cat", [minus ? torch.add(angles, angles, -2) : angles, angles], 2)
        return torch.call("reshape", torch.strided(pair, [rows, heads, headDim], [headDim, 0, 1], 0), [rows, width])
      })
    const swapped = torch.call("view", torch.call("cat", [part(half), part(0)], 2), [rows, width])
    torch.call("mul_.Tensor", swapped, across(sin, "sin", true))
    const straight = torch.call("mul.Tensor", x.handles[0]!, across(cos, "cos", false))
    return { y: floats(torch.add(straight, swapped, sign), x.shape) }
  }
  const c = turns(cos, "cos")
  const s = turns(sin, "sin")
  const u = part(0)
  const v = part(style === "half" ? half : 1)
  const times = (a: bigint, b: bigint) => torch.call("mul.Tensor", a, b)
  const turned = [torch.add(times(u, c), times(v, s), -sign), torch.add(times(v, c), times(u, s), sign)]
  const rotated = style === "half"
    ? torch.call("cat", turned, 2)
    : torch.call("reshape", torch.call("stack", turned, 3), [rows, heads, dims])
  if (dims === headDim) return { y: floats(torch.call("view", rotated, [rows, width]), x.shape) }
  const rest = torch.strided(x.handles[0]!, [rows, heads, headDim - dims], [width, headDim, 1], dims)
  return { y: floats(torch.call("view", torch.call("cat", [rotated, rest], 2), [rows, width]), x.shape) }
}

const scatterAddRows: Lowering<"scatterAddRows"> = (
  { accumulator, rows, x },
  { count, unique },
  { index, sizes, spare, torch }
) => {
  const shape = [sizeOf(count, sizes), x.shape[1]!]
  const at = index(rows.ints)
  if (!unique) {
    // index_put_ and scatter_add_ race where a row repeats; this sums in the order of the rows
    const sum = torch.call("embedding_dense_backward", x.handles[0]!, at, shape[0]!, -1, false)
    return { y: floats(accumulator === undefined ? sum : torch.add(sum, accumulator.handles[0]!), shape) }
  }
  const y = accumulator === undefined
    ? torch.zeros(shape)
    : spare(accumulator)
    ? torch.alias(accumulator.handles[0]!)
    : torch.call("clone", accumulator.handles[0]!)
  torch.call("index_put_", y, [at], x.handles[0]!, true)
  return { y: floats(y, shape) }
}

const sumRows: Lowering<"sumRows"> = ({ x }, _, { torch }) => ({
  y: floats(torch.call("sum.dim_IntList", x.handles[0]!, [0]), x.shape.slice(1))
})

const swiglu: Lowering<"swiglu"> = ({ gate, up }, _, { torch }) => {
  const y = torch.call("silu", gate.handles[0]!)
  torch.call("mul_.Tensor", y, up.handles[0]!)
  return { y: floats(y, gate.shape) }
}

const swigluBackward: Lowering<"swigluBackward"> = ({ cotangent, gate, up }, _, { torch }) => {
  const dUp = torch.call("silu", gate.handles[0]!)
  torch.call("mul_.Tensor", dUp, cotangent.handles[0]!)
  const through = torch.call("mul.Tensor", cotangent.handles[0]!, up.handles[0]!)
  return {
    gate: floats(torch.call("silu_backward", through, gate.handles[0]!), gate.shape),
    up: floats(dUp, up.shape)
  }
}

export const lowerings: { readonly [N in OperationName]: Lowering<N> } = {
  add,
  attention,
  attentionBackward,
  columns,
  embedding,
  gatherRows,
  gelu,
  geluBackward,
  layerNorm,
  layerNormBackward,
  mm,
  multiply,
  rmsNorm,
  rmsNormBackward,
  rope,
  scale,
  scatterAddRows,
  softCap,
  spreadColumns,
  sumRows,
  swiglu,
  swigluBackward,
  tokenLogProb,
  tokenLogProbBackward
}
