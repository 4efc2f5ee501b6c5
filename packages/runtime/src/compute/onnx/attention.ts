// Attention and its gradient as ONNX nodes, block by block (tiles.ts), with lengths that come with each batch.
// Query heads that share a key head are stacked as rows, so keys and values are never repeated and their gradients sum
// over the stack inside the matrix product. Probabilities are kept from forward to backward.
import type { NodeOf } from "../Graph.ts"
import type { AttentionAttributes } from "../operations/attention.ts"
import type { Context, Lowering } from "./Lowering.ts"
import type { Program } from "./Program.ts"
import { type Block, blocksOf } from "./tiles.ts"

interface BlockValues extends Block {
  /** [kvHeads, keys, headDim] */
  readonly k: string
  /** Probabilities [kvHeads, rows * shared, keys]. */
  readonly p: string
  /** tanh(score / softCap), as large, where scores have a cap. */
  readonly bent: string | undefined
}

interface Kept {
  /** [kvHeads, R, shared * headDim] */
  readonly rows: string
  readonly blocks: ReadonlyArray<BlockValues>
}

const product = (
  { node }: Program,
  a: string,
  b: string,
  { alpha = 1, transA = false, transB = false }: {
    readonly alpha?: number
    readonly transA?: boolean
    readonly transB?: boolean
  }
): string =>
  alpha === 1 && !transA && !transB
    ? node("MatMul", [a, b])
    : node("FusedMatMul", [a, b], { alpha: { float: alpha }, transA: Number(transA), transB: Number(transB) })

/** The layout of one attention: everything that depends on its numbers of heads. */
const layoutOf = (context: Context, { heads, kvHeads, window }: AttentionAttributes, asking: "all" | "predicting") => {
  const { layout, program } = context
  const { constant, input, node, nodes, once, reshape } = program
  const shared = heads / kvHeads
  const tiles = input("tiles", "int64")
  const cut = asking === "all" ? tiles : input("predicting", "int64")
  const blocks = blocksOf(layout, asking)
  const tileCount = layout.groups * (layout.promptTiles + layout.branches)
  return {
    blocks,
    /** [R, heads * width] -> `rows` [kvHeads, R, shared * width], and per block [kvHeads, rows * shared, width]. */
    queries: (x: string, width: number) => {
      const rows = node("Transpose", [reshape(x, -1, kvHeads, shared * width)], { perm: [1, 0, 2] })
      const parts = nodes("Split", [rows, cut], blocks.length, { axis: 1 })
      return { rows, parts: parts.map((part) => reshape(part, kvHeads, -1, width)) }
    },
    /**
     * The `rows` of `queries` -> per block [kvHeads, width, rows * shared]: as left factors they make plain products, which
     * are faster than those that transpose, and zero for a block without rows, where FusedMatMul does not fill its result.
     */
    turned: (rows: string, width: number): ReadonlyArray<string> => {
      const sizes = once(`${cut} by ${shared}`, () => node("Mul", [cut, constant("int64", [shared], [])]))
      const byHead = node("Transpose", [reshape(rows, kvHeads, -1, width)], { perm: [0, 2, 1] })
      return nodes("Split", [byHead, sizes], blocks.length, { axis: 2 })
    },
    /** The inverse of `queries`. */
    joinQueries: (parts: ReadonlyArray<string>, width: number): string => {
      const byHead = node("Concat", parts.map((part) => reshape(part, kvHeads, -1, shared * width)), { axis: 1 })
      return reshape(node("Transpose", [byHead], { perm: [1, 0, 2] }), -1, heads * width)
    },
    /** [T, kvHeads, width] -> per block [kvHeads, keys, width] */
    keys: (x: string): ReadonlyArray<string> => {
      const parts = nodes("Split", [node("Transpose", [x], { perm: [1, 0, 2] }), tiles], tileCount, { axis: 1 })
      const joined = new Map<string, string>()
      return blocks.map(({ keys }) => {
        if (keys.length === 1) return parts[keys[0]!]!
        const id = keys.join()
        const made = joined.get(id) ?? node("Concat", keys.map((tile) => parts[tile]!), { axis: 1 })
        joined.set(id, made)
        return made
      })
    },
    /** Per block [kvHeads, width, keys] -> [T, kvHeads * width], summed over the blocks that saw a key. */
    sumKeys: (parts: ReadonlyArray<string>, width: number): string => {
      const seen = Array.from({ length: tileCount }, (): Array<string> => [])
      blocks.forEach(({ keys }, i) => {
        if (keys.length === 1) return void seen[keys[0]!]!.push(parts[i]!)
        const sizes = once(`tiles ${keys}`, () => node("Gather", [tiles, constant("int64", keys)]))
        nodes("Split", [parts[i]!, sizes], keys.length, { axis: 2 }).forEach((part, j) => seen[keys[j]!]!.push(part))
      })
      const summed = seen.map((addends) => addends.length === 1 ? addends[0]! : node("Sum", addends))
      const all = node("Concat", summed, { axis: 2 })
      return reshape(node("Transpose", [all], { perm: [2, 0, 1] }), -1, kvHeads * width)
    },
    /** Which scores of a block do not count; nothing when all do. */
    mask: ({ asking: rows, tile }: Block): string | undefined =>
      rows === "last" && window === undefined
        ? undefined
        : input(`mask ${rows} ${tile} ${shared} ${window ?? Infinity}`, "float32")
  }
}

/** What passes a soft cap on its way back: x (1 - bent²). */
export const belowCap = ({ constant, node }: Program, x: string, bent: string): string =>
  node("Mul", [x, node("Sub", [constant("float32", [1], []), node("Mul", [bent, bent])])])

const askingOf = ({ inputs: { q } }: NodeOf<"attention"> | NodeOf<"attentionBackward">) =>
  q.shape[0] === "M" ? "predicting" : "all"

export const attention: Lowering<"attention"> = (node, context) => {
  const { attributes, inputs, outputs } = node
  const { program } = context
  const { headDim, kvHeads, scale, softCap } = attributes
  const { constant, node: make, reshape } = program
  const heads = layoutOf(context, attributes, askingOf(node))
  const queries = heads.queries(context.of(inputs.q), headDim)
  const keys = heads.keys(reshape(context.of(inputs.k), -1, kvHeads, headDim))
  const values = heads.keys(reshape(context.of(inputs.v), -1, kvHeads, headDim))
  const blocks = heads.blocks.map((block, i): BlockValues => {
    const [q, k] = [queries.parts[i]!, keys[i]!]
    const plain = product(program, q, k, { transB: true, alpha: scale / (softCap ?? 1) })
    const bent = softCap === undefined ? undefined : make("Tanh", [plain])
    const scores = bent === undefined ? plain : make("Mul", [bent, constant("float32", [softCap!], [])])
    const mask = heads.mask(block)
    const masked = mask === undefined ? scores : make("Add", [scores, mask])
    return { ...block, k, bent, p: make("Softmax", [masked], { axis: -1 }) }
  })
  const parts = blocks.map(({ p }, i) => product(program, p, values[i]!, {}))
  context.bind(outputs.y, heads.joinQueries(parts, headDim))
  context.keep(outputs.saved, { rows: queries.rows, blocks } satisfies Kept)
}

/**
 * Per block, with c the cotangent and D = rowsum(c * y): s = p * (c vᵀ - D). One more column, D beside c and -1 beside v,
 * makes c vᵀ - D a single product. Below a soft cap s is also multiplied by its slope. Keys and values get (cᵀ p) rather than (pᵀ c), which is faster and smaller to copy.
 */
export const attentionBackward: Lowering<"attentionBackward"> = (node, context) => {
  const { attributes, inputs, outputs } = node
  const { program } = context
  const { headDim, heads: count, kvHeads, scale } = attributes
  const { reshape } = program
  const { constant, once } = program
  const heads = layoutOf(context, attributes, askingOf(node))
  const { blocks, rows } = context.kept(inputs.saved) as Kept
  const wide = headDim + 1

  const cotangent = context.of(inputs.cotangent)
  const through = program.node("ReduceSum", [
    reshape(program.node("Mul", [cotangent, context.of(inputs.y)]), -1, count, headDim),
    constant("int64", [-1])
  ], { keepdims: 1 })
  const widened = program.node("Concat", [reshape(cotangent, -1, count, headDim), through], { axis: 2 })
  const cotangents = heads.queries(widened, wide)
  const turnedQueries = heads.turned(rows, headDim)
  const turnedCotangents = heads.turned(cotangents.rows, wide)
  const minusOnes = once(`minus ones ${kvHeads}`, () => {
    const rows = program.node("Shape", [program.input("tokens", "int32")])
    const shape = program.node("Concat", [rows, constant("int64", [kvHeads, 1])], { axis: 0 })
    return program.node("Expand", [constant("float32", [-1], []), shape])
  })
  const values = heads.keys(
    program.node("Concat", [reshape(context.of(inputs.v), -1, kvHeads, headDim), minusOnes], { axis: 2 })
  )
  const parts = blocks.map(({ bent, k, p }, i) => {
    const uncapped = program.node("Mul", [p, product(program, cotangents.parts[i]!, values[i]!, { transB: true })])
    const s = bent === undefined ? uncapped : belowCap(program, uncapped, bent)
    const forKeys = program.node("MatMul", [turnedQueries[i]!, s])
    const forValues = program.node("MatMul", [turnedCotangents[i]!, p])
    const forQueries = product(program, s, k, { alpha: scale })
    return { q: program.after([forValues, forKeys], forQueries, kvHeads, -1, headDim), k: forKeys, v: forValues }
  })
  context.bind(outputs.q, heads.joinQueries(parts.map(({ q }) => q), headDim))
  const keyGradients = heads.sumKeys(parts.map(({ k }) => k), headDim)
  context.bind(outputs.k, program.node("Mul", [keyGradients, constant("float32", [scale], [])]))
  // The last row of each head is the product with D: cut off once for all blocks.
  const all = reshape(heads.sumKeys(parts.map(({ v }) => v), wide), -1, kvHeads, wide)
  const [from, to, axis] = [[0], [headDim], [2]].map((at) => constant("int64", at)) as [string, string, string]
  context.bind(outputs.v, reshape(program.node("Slice", [all, from, to, axis]), -1, kvHeads * headDim))
}
