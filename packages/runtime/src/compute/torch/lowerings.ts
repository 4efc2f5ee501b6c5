// Every operation of the computation graph as calls to libtorch.
import type { OperationName } from "../Graph.ts"
import { sizeOf } from "../sizes.ts"
import { attention, attentionBackward } from "./attention.ts"
import { tokenLogProb, tokenLogProbBackward } from "./head.ts"
import { floats, type Lowering } from "./Lowering.ts"
import { rmsNorm, rmsNormBackward } from "./rmsNorm.ts"

const add: Lowering<"add"> = ({ a, b }, _, { torch }) => ({
  y: floats(torch.add(a.handles[0]!, b.handles[0]!), a.shape)
})

const embedding: Lowering<"embedding"> = ({ ids, table }, _, { index, torch }) => {
  const bad = ids.ints.findIndex((id) => id < 0 || id >= table.shape[0]!)
  if (bad !== -1) throw new Error(`token ${ids.ints[bad]} is outside the vocabulary of ${table.shape[0]}`)
  const y = torch.call("index_select", table.handles[0]!, 0, index(ids.ints))
  return { y: floats(y, [ids.ints.length, table.shape[1]!]) }
}

const gatherRows: Lowering<"gatherRows"> = ({ rows, x }, _, { index, torch }) => ({
  y: floats(torch.call("index_select", x.handles[0]!, 0, index(rows.ints)), [rows.ints.length, x.shape[1]!])
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
    once(table, `${name} of these positions`, () => {
      const chosen = torch.call("index_select", table.handles[0]!, 0, index(positions.ints))
      return torch.call("view", chosen, [rows, 1, half])
    })
  const c = turns(cos, "cos")
  const s = turns(sin, "sin")
  const part = (first: number) =>
    torch.strided(x.handles[0]!, [rows, heads, half], [width, headDim, style === "half" ? 1 : 2], first)
  const u = part(0)
  const v = part(style === "half" ? half : 1)
  const times = (a: bigint, b: bigint) => torch.call("mul.Tensor", a, b)
  const sign = inverse ? -1 : 1
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
  embedding,
  gatherRows,
  mm,
  rmsNorm,
  rmsNormBackward,
  rope,
  scatterAddRows,
  sumRows,
  swiglu,
  swigluBackward,
  tokenLogProb,
  tokenLogProbBackward
}
