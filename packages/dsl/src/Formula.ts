// A loss written as data: typed constructors of the expression tree. One phantom union collects everything a formula
// needs (models, sides, columns, the batch), another says whether it has a value per row or per token.
// Leaves out IO, tensors and meaning: Simplify, Differentiate, Evaluate and Print each read the same tree.
import {
  apply,
  type BinaryTag,
  constant as constantNode,
  FormulaError,
  join,
  type Node,
  type Rank,
  rankOf,
  type Side,
  type UnaryTag,
  visit
} from "./Node.ts"

export { FormulaError, type Node, type Rank, rankOf, type Side } from "./Node.ts"

export type DataNeed = `side:${Side}` | `column:${string}`
/** `batch`: the rows of a batch depend on each other; `state`: a running mean goes into the checkpoint. */
export type Need = "policy" | "reference" | "batch" | "state" | DataNeed

declare const brand: unique symbol
export interface Formula<out N extends Need, out R extends Rank = "row"> {
  readonly node: Node
  readonly [brand]: { readonly needs: N; readonly rank: R }
}
/** Needs nothing: constants, parameters, and what is made of them. */
export type Scalar = Formula<never>

const make = <N extends Need, R extends Rank>(node: Node): Formula<N, R> => ({ node }) as Formula<N, R>

const finite = (value: number): Node => {
  if (!Number.isFinite(value)) throw new FormulaError(`${value} is not a number that a formula can hold`)
  return constantNode(value)
}

export const constant = (value: number): Scalar => make(finite(value))
export const parameter = (name: string): Scalar => make({ _tag: "Parameter", name })
/** The symbol r of a convex h(r); only `dil` and `derivative` know what it stands for. */
export const variable: Scalar = make({ _tag: "Variable" })
/** A numeric column carried by the data, one value per row. */
export const column = <const C extends string>(name: C): Formula<`column:${C}`> => make({ _tag: "Column", name })
/** Log-probability of each completion token under the model in training, in nats. */
export const policy = <S extends Side>(side: S): Formula<"policy" | `side:${S}`, `token:${S}`> =>
  make({ _tag: "LogProb", model: "policy", side })
/** The same under the frozen reference. */
export const reference = <S extends Side>(side: S): Formula<"reference" | `side:${S}`, `token:${S}`> =>
  make({ _tag: "LogProb", model: "reference", side })
/** Number of loss tokens of a side, its end token included. */
export const length = <S extends Side>(side: S): Formula<`side:${S}`> => make({ _tag: "Length", side })

type Arg = Formula<Need, Rank> | number
type NeedsOf<A> = A extends Formula<infer N, Rank> ? N : never
type RankOf<A> = A extends Formula<Need, infer R> ? R : "row"
type Join<A, B> = A extends "row" ? B : B extends "row" ? A : A extends B ? A : never
type Meets<A, B> = [Join<RankOf<A>, RankOf<B>>] extends [never]
  ? "tokens of two sides cannot meet: reduce each with sum first"
  : unknown
type Binary = <A extends Arg, B extends Arg>(
  a: A,
  b: B & Meets<A, B>
) => Formula<NeedsOf<A> | NeedsOf<B>, Join<RankOf<A>, RankOf<B>> & Rank>
type Unary = <N extends Need, R extends Rank>(a: Formula<N, R>) => Formula<N, R>

const nodeOf = (a: Arg): Node => typeof a === "number" ? finite(a) : a.node
const binary = (_tag: BinaryTag): Binary => (a, b) => {
  const node = join(_tag, nodeOf(a), nodeOf(b))
  rankOf(node)
  return make(node)
}
const unary = (_tag: UnaryTag): Unary => (a) => make(apply(_tag, a.node))

export const plus = binary("Plus")
export const times = binary("Times")
export const over = binary("Divide")
export const min = binary("Min")
export const max = binary("Max")
export const minus: Binary = (a, b) => {
  const node = join("Plus", nodeOf(a), apply("Negate", nodeOf(b)))
  rankOf(node)
  return make(node)
}

export const negate = unary("Negate")
export const exp = unary("Exp")
export const log = unary("Log")
/** 1 / (1 + exp(-x)) */
export const sigmoid = unary("Sigmoid")
/** log sigmoid(x), finite for every finite x. */
export const logSigmoid = unary("LogSigmoid")
/** log(1 + exp x), finite for every finite x. */
export const softplus = unary("Softplus")
/** log(1 - exp x), for x < 0. */
export const log1mexp = unary("Log1mExp")
export const relu = unary("Relu")
/** 1 where x > 0, else 0. */
export const step = unary("Step")
/** The value without its gradient. */
export const detach = unary("Detach")
export const square: Unary = (a) => make(join("Times", a.node, a.node))

/** Over the tokens of a row. */
export const sum = <N extends Need>(a: Formula<N, `token:${Side}`>): Formula<N> => {
  if (rankOf(a.node) === "row") throw new FormulaError("sum is over tokens, and this has one value per row already")
  return make(apply("Sum", a.node))
}
/** Over the tokens of a row, divided by their number. */
export const mean = <N extends Need, S extends Side>(a: Formula<N, `token:${S}`>): Formula<N | `side:${S}`> => {
  const rank = rankOf(a.node)
  if (rank === "row") throw new FormulaError("mean is over tokens, and this has one value per row already")
  return make(join("Divide", apply("Sum", a.node), { _tag: "Length", side: rank.slice(6) as Side }))
}

const perRow = (node: Node, what: string): Node => {
  if (rankOf(node) !== "row") throw new FormulaError(`${what} is over rows: reduce the tokens with sum or mean first`)
  return node
}
/** Over the rows of the batch. */
export const batchMean = <N extends Need>(a: Formula<N>): Formula<N | "batch"> =>
  make(apply("BatchMean", perRow(a.node, "batchMean")))
/** The rows of the batch in ascending order. */
export const batchSort = <N extends Need>(a: Formula<N>): Formula<N | "batch"> =>
  make({ _tag: "BatchSort", of: perRow(a.node, "batchSort"), by: a.node })
/** Mean of every row seen since training began, this batch included; a constant to the gradient, and checkpointed. */
export const runningMean = <N extends Need>(name: string, a: Formula<N>): Formula<N | "batch" | "state"> =>
  make({ _tag: "State", name, of: perRow(a.node, "runningMean") })

/** What a formula needs, read off the tree. */
export const needs = (node: Node): ReadonlySet<Need> => {
  const found = new Set<Need>()
  visit(node, (at) => {
    if (at._tag === "LogProb") found.add(at.model)
    if (at._tag === "LogProb" || at._tag === "Length") found.add(`side:${at.side}`)
    if (at._tag === "Column") found.add(`column:${at.name}`)
    if (at._tag === "State") found.add("state")
    if (at._tag === "State" || at._tag.startsWith("Batch")) found.add("batch")
  })
  return found
}
