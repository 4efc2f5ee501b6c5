// Derivatives of formulas, as formulas: by the symbol r, and by every token's log-probability under the policy.
// Leaves out second derivatives of sorting and of `min`, `max`, `relu`, `step`, which are piecewise: their kinks have slope 0 or 1.
import { type Formula, type Need, type Rank as FormulaRank, type Scalar } from "./Formula.ts"
import { apply, children, constant, join, match, type Node, type NodeOf, rankOf, type Side } from "./Node.ts"
import { simplify } from "./Simplify.ts"

const one = constant(1)
const zero = constant(0)
const negate = (of: Node): Node => apply("Negate", of)
const times = (left: Node, right: Node): Node => join("Times", left, right)
const over = (left: Node, right: Node): Node => join("Divide", left, right)
const plus = (left: Node, right: Node): Node => join("Plus", left, right)
const minus = (left: Node, right: Node): Node => plus(left, negate(right))

const none = (): ReadonlyArray<Node> => []
/** 1 where left > right. */
const leftWins = ({ left, right }: NodeOf<"Min" | "Max">): Node => apply("Step", minus(left, right))

/** Slope of a pointwise node by each of its children; none for what has no gradient and for what is not pointwise. */
const slopes = match<ReadonlyArray<Node>>({
  Constant: none,
  Parameter: none,
  Column: none,
  Variable: none,
  LogProb: none,
  Length: none,
  Negate: () => [constant(-1)],
  Exp: (node) => [node],
  Log: ({ of }) => [over(one, of)],
  LogSigmoid: ({ of }) => [apply("Sigmoid", negate(of))],
  Softplus: ({ of }) => [apply("Sigmoid", of)],
  Sigmoid: ({ of }) => [times(apply("Sigmoid", of), apply("Sigmoid", negate(of)))],
  // -e^x / (1 - e^x), with the denominator from log1mexp so that it keeps its digits near 0
  Log1mExp: (node) => [negate(apply("Exp", minus(node.of, node)))],
  Relu: ({ of }) => [apply("Step", of)],
  Step: none,
  Detach: none,
  Plus: () => [one, one],
  Times: ({ left, right }) => [right, left],
  Divide: ({ left, right }) => [over(one, right), negate(over(left, times(right, right)))],
  Min: (node) => [minus(one, leftWins(node)), leftWins(node)],
  Max: (node) => [leftWins(node), minus(one, leftWins(node))],
  Sum: none,
  BatchMean: none,
  BatchSort: none,
  BatchUnsort: none,
  State: none
})

const byVariable = (node: Node): Node => {
  if (node._tag === "Variable") return one
  const each = slopes(node)
  return children(node).reduce<Node>((total, child, i) => {
    const slope = each[i]
    return slope === undefined ? total : plus(total, times(slope, byVariable(child)))
  }, zero)
}

const asFormula = <N extends Need, R extends FormulaRank>(node: Node): Formula<N, R> => ({ node }) as Formula<N, R>

/** d h / d r for the h of a density-ratio objective. */
export const derivative = (h: Scalar): Scalar => asFormula(simplify(byVariable(simplify(h.node))))

const replaced = (node: Node, by: Node): Node =>
  node._tag === "Variable"
    ? by
    : "left" in node
    ? { ...node, left: replaced(node.left, by), right: replaced(node.right, by) }
    : "of" in node
    ? { ...node, of: replaced(node.of, by) }
    : node

/** h with r replaced, for instance by exp(log-ratio) of one side. */
export const substitute = <N extends Need>(h: Scalar, r: Formula<N>): Formula<N> =>
  asFormula(replaced(simplify(h.node), r.node))

/** A formula by policy side: d(sum over the batch of the loss) / d(log-probability), per token or one value for its row's tokens. */
export type Gradients = Readonly<Partial<Record<Side, Node>>>

const mentionsPolicy = (node: Node): boolean =>
  node._tag === "LogProb" ? node.model === "policy" : children(node).some(mentionsPolicy)

/** What reaches a row value from the tokens it was broadcast over. */
const overTokens = (adjoint: Node, side: Side): Node =>
  rankOf(adjoint) === "row" ? times({ _tag: "Length", side }, adjoint) : apply("Sum", adjoint)

/**
 * Reverse mode, symbolically. A sum over tokens sends its adjoint to each of them, a mean over the batch the mean of the
 * adjoints, a sort the adjoints sorted back; `detach` and running means send nothing. An uncoupled loss gives d loss_row.
 */
export const gradients = (loss: Node): Gradients => {
  const found: Partial<Record<Side, Node>> = {}
  const send = (node: Node, adjoint: Node): void => {
    if (!mentionsPolicy(node)) return
    if (node._tag === "LogProb") {
      found[node.side] = plus(found[node.side] ?? zero, adjoint)
    } else if (node._tag === "Sum") {
      send(node.of, adjoint)
    } else if (node._tag === "BatchMean") {
      send(node.of, apply("BatchMean", adjoint))
    } else if (node._tag === "BatchSort" || node._tag === "BatchUnsort") {
      send(node.of, { _tag: node._tag === "BatchSort" ? "BatchUnsort" : "BatchSort", of: adjoint, by: node.by })
    } else {
      const rank = rankOf(node)
      const parts = children(node)
      slopes(node).forEach((slope, i) => {
        const child = parts[i]!
        const here = times(adjoint, slope)
        const spread = rank !== "row" && rankOf(child) === "row"
        send(child, spread ? overTokens(here, rank.slice("token:".length) as Side) : here)
      })
    }
  }
  send(simplify(loss), one)
  return Object.fromEntries(Object.entries(found).toSorted().map(([side, node]) => [side, simplify(node)]))
}
