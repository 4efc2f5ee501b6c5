// The expression tree behind every formula: plain JSON, so that it can be hashed, printed, differentiated and lowered.
// A node has a rank: one value per row (pair) of the batch, or one per token of a side. Row values broadcast over tokens.
// Leaves out types of needs and ranks (Formula.ts) and every meaning (Evaluate.ts): rules over nodes are total tables.

/** `answer` is the only branch of an unpaired or SFT row. */
export type Side = "chosen" | "rejected" | "answer"
export type Rank = "row" | `token:${Side}`
export type ModelName = "policy" | "reference"

/** `Log1mExp` is log(1 - exp x) for x < 0; `Step` is 1 where x > 0, else 0. */
export type UnaryTag =
  | "Negate"
  | "Exp"
  | "Log"
  | "LogSigmoid"
  | "Softplus"
  | "Sigmoid"
  | "Log1mExp"
  | "Relu"
  | "Step"
  | "Detach"
export type BinaryTag = "Plus" | "Times" | "Divide" | "Min" | "Max"

interface Fields {
  readonly Constant: { readonly value: number }
  readonly Parameter: { readonly name: string }
  /** A numeric data column, one value per row. */
  readonly Column: { readonly name: string }
  /** The symbol that `derivative` differentiates by: the density ratio r in DIL's h(r). */
  readonly Variable: {}
  /** Log-probability of each completion token of a side. */
  readonly LogProb: { readonly model: ModelName; readonly side: Side }
  /** Completion tokens of a side. */
  readonly Length: { readonly side: Side }
  /** Over the tokens of a row. */
  readonly Sum: { readonly of: Node }
  /** Over the rows of the batch. */
  readonly BatchMean: { readonly of: Node }
  /** Values of `of` in the ascending order of `by`, over the rows of the batch; ties keep their order. */
  readonly BatchSort: { readonly of: Node; readonly by: Node }
  /** The inverse permutation: undoes `BatchSort` with the same `by`. */
  readonly BatchUnsort: { readonly of: Node; readonly by: Node }
  /** Mean of `of` over every row seen so far, this batch included; kept in the checkpoint under `name`. Not differentiated. */
  readonly State: { readonly name: string; readonly of: Node }
}
type Shapes =
  & Fields
  & { readonly [T in UnaryTag]: { readonly of: Node } }
  & { readonly [T in BinaryTag]: { readonly left: Node; readonly right: Node } }

export type Tag = keyof Shapes
export type NodeOf<T extends Tag> = { readonly [K in T]: { readonly _tag: K } & Shapes[K] }[T]
export type Node = NodeOf<Tag>

/** One rule per kind of node: a new kind fails to compile wherever it needs a rule. */
export type Rules<A> = { readonly [T in Tag]: (node: NodeOf<T>) => A }
export const match = <A>(rules: Rules<A>) => (node: Node): A => (rules[node._tag] as (node: Node) => A)(node)

const leaf = (): ReadonlyArray<Node> => []
const one = (node: { readonly of: Node }): ReadonlyArray<Node> => [node.of]
const two = (node: { readonly left: Node; readonly right: Node }): ReadonlyArray<Node> => [node.left, node.right]
const ordered = (node: { readonly of: Node; readonly by: Node }): ReadonlyArray<Node> =>
  node.of === node.by ? [node.of] : [node.of, node.by]

export const children: (node: Node) => ReadonlyArray<Node> = match({
  Constant: leaf,
  Parameter: leaf,
  Column: leaf,
  Variable: leaf,
  LogProb: leaf,
  Length: leaf,
  Negate: one,
  Exp: one,
  Log: one,
  LogSigmoid: one,
  Softplus: one,
  Sigmoid: one,
  Log1mExp: one,
  Relu: one,
  Step: one,
  Detach: one,
  Plus: two,
  Times: two,
  Divide: two,
  Min: two,
  Max: two,
  Sum: one,
  BatchMean: one,
  BatchSort: ordered,
  BatchUnsort: ordered,
  State: one
})

/** Parents come after their children; every occurrence is visited. */
export const visit = (node: Node, see: (node: Node) => void): void => {
  for (const child of children(node)) visit(child, see)
  see(node)
}

/** Thrown by constructors of formulas and objectives: a mistake of the person who wrote it, named in their words. */
export class FormulaError extends Error {
  override readonly name = "FormulaError"
}

/** The rank of a node; throws where tokens of two sides meet. */
export const rankOf = (node: Node): Rank => {
  if (node._tag === "LogProb") return `token:${node.side}`
  if (node._tag === "Sum") return "row"
  let rank: Rank = "row"
  for (const child of children(node)) {
    const other = rankOf(child)
    if (other === "row" || other === rank) continue
    if (rank !== "row") {
      throw new FormulaError(`tokens of ${rank.slice(6)} and ${other.slice(6)} cannot meet: reduce each with sum first`)
    }
    rank = other
  }
  return rank
}

export const constant = (value: number): Node => ({ _tag: "Constant", value })
export const apply = <T extends UnaryTag | "Sum" | "BatchMean">(_tag: T, of: Node): NodeOf<T> =>
  ({ _tag, of }) as NodeOf<T>
export const join = <T extends BinaryTag>(_tag: T, left: Node, right: Node): NodeOf<T> =>
  ({ _tag, left, right }) as NodeOf<T>
