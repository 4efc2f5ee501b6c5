// bfloat16: activations, weights and their gradients in 16 bits; what loses too much in 16 bits computes in float32 and gives
// its activations back in 16. Nothing here happens in float32. A kernel of our own reads and writes 16 bits by itself.
import type { Node, OperationName, Operations } from "../Graph.ts"
import type { Fused } from "./kernels/Fused.ts"
import { fused } from "./kernels/lowerings.ts"
import type { Context, Tensor } from "./Lowering.ts"
import { lowerings } from "./lowerings.ts"
import type { Torch } from "./Torch.ts"

/**
 * `narrow`: in the precision of the session, the head apart from its sums. A list: in float32, and these outputs are narrowed;
 * others (statistics of a row, sums over rows) stay in float32.
 */
type Width<N extends OperationName> = "narrow" | ReadonlyArray<keyof Operations[N]["outputs"]>

const widths: { readonly [N in OperationName]: Width<N> | ((attributes: Operations[N]["attributes"]) => Width<N>) } = {
  add: "narrow",
  // flash attention sums in float32 by itself
  attention: ({ softCap }) => (softCap === undefined ? "narrow" : ["y"]),
  attentionBackward: ({ softCap }) => (softCap === undefined ? "narrow" : ["q", "k", "v"]),
  columns: "narrow",
  embedding: "narrow",
  gatherRows: "narrow",
  gelu: "narrow",
  geluBackward: "narrow",
  layerNorm: ["y"],
  layerNormBackward: ["x"],
  mm: "narrow",
  multiply: "narrow",
  rmsNorm: ["y"],
  rmsNormBackward: ["x"],
  rope: ["y"],
  scale: ["y"],
  // 16 bits lose small addends
  scatterAddRows: ["y"],
  softCap: ["y"],
  spreadColumns: "narrow",
  sumRows: [],
  swiglu: "narrow",
  swigluBackward: "narrow",
  tokenLogProb: "narrow",
  tokenLogProbBackward: "narrow"
}

/** The same libtorch, whose new tensors are bfloat16. */
export const narrowed = (torch: Torch): Torch => {
  const { bfloat16 } = torch.native.dtypes
  return {
    ...torch,
    floats: bfloat16,
    empty: (shape, dtype = bfloat16) => torch.empty(shape, dtype),
    zeros: (shape, dtype = bfloat16) => torch.zeros(shape, dtype)
  }
}

/** Saved activations and ints have no elements to convert. */
const cast = (torch: Torch, tensor: Tensor, dtype: number): Tensor =>
  tensor.shape.length === 0 || tensor.handles.length !== 1
    ? tensor
    : { ...tensor, handles: [torch.cast(tensor.handles[0]!, dtype)] }

type Tensors = Readonly<Record<string, Tensor>>

const mapped = (tensors: Tensors, of: (tensor: Tensor, name: string) => Tensor): Tensors =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, of(tensor, name)]))

/** Lowers a node, by a kernel if one fits, else in its width. `narrow` is `wide` itself in float32. */
export const lowerIn = (wide: Torch, narrow: Torch) => {
  const { bfloat16, float32 } = wide.native.dtypes
  return (node: Node, inputs: Tensors, context: Omit<Context, "torch">): Tensors => {
    const kernel = wide.launcher === undefined ? undefined : fused[node.operation] as Fused<OperationName> | undefined
    const done = kernel?.(inputs as never, node.attributes as never, { ...context, torch: narrow })
    if (done !== undefined) return done
    const lower = lowerings[node.operation] as (inputs: object, attributes: object, context: Context) => Tensors
    const given = widths[node.operation] as Width<OperationName> | ((attributes: object) => Width<OperationName>)
    const width: string | ReadonlyArray<string> = typeof given === "function" ? given(node.attributes) : given
    if (wide === narrow || typeof width === "string") {
      return lower(inputs, node.attributes, { ...context, torch: narrow })
    }
    const widened = mapped(inputs, (tensor) => cast(wide, tensor, float32))
    return mapped(
      lower(widened, node.attributes, { ...context, torch: wide }),
      (tensor, name) => width.includes(name) ? cast(wide, tensor, bfloat16) : tensor
    )
  }
}
