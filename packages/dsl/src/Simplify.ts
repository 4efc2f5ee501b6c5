// The canonical form of a formula: like terms collected, constants folded, common factors taken out, and the laws of exp,
// log and sigmoid applied so that no intermediate value overflows where the formula itself does not. Products are
// multiplied out only where that makes the formula smaller.
// Domain: log is taken of positive values and the variable r is a ratio, so log(x y) = log x + log y where x > 0 is known.
import { binary, unary } from "./Kernels.ts"
import { logarithm } from "./Logarithms.ts"
import {
  apply,
  type BinaryTag,
  children,
  constant,
  FormulaError,
  join,
  match,
  type Node,
  type NodeOf,
  rankOf,
  type Side,
  type UnaryTag
} from "./Node.ts"
import { keyOf, same } from "./Order.ts"
import { asTerm, exponential, multiply, negated } from "./Products.ts"
import { canonical } from "./Sums.ts"
import { atom, build, parse, power, type Term } from "./Terms.ts"

/** Carries no gradient: nothing of the policy outside `detach` and running means. */
const isDetached = (node: Node): boolean =>
  node._tag === "Detach" || node._tag === "State" ||
  (node._tag === "LogProb" ? node.model === "reference" : children(node).every(isDetached))

const fold = (tag: UnaryTag, of: Node): Node => {
  const value = of._tag === "Constant" ? unary[tag](of.value) : Number.NaN
  return Number.isFinite(value) ? constant(value + 0) : apply(tag, of)
}
const function_ = (node: NodeOf<UnaryTag>): Node => fold(node._tag, simplify(node.of))

/** Linear: what does not depend on the token comes out, and a constant is counted as often as there are tokens. */
const overTokens = (of: Node, side: Side): Node =>
  canonical(
    parse(of).flatMap(({ coefficient, factors }) => {
      const inside = factors.filter(({ base }) => rankOf(base) !== "row")
      const outside: Term = { coefficient, factors: factors.filter(({ base }) => rankOf(base) === "row") }
      const [only, ...more] = inside
      if (only === undefined) return [multiply(outside, atom({ _tag: "Length", side }))]
      const open = only.base._tag === "Plus" && only.power === 1 && more.length === 0
      const reduced = open ? overTokens(only.base, side) : apply("Sum", build([{ coefficient: 1, factors: inside }]))
      return [multiply(outside, asTerm(parse(reduced)))]
    })
  )

const isBatchConstant: (node: Node) => boolean = (node) =>
  node._tag === "Constant" || node._tag === "Parameter" || node._tag === "BatchMean" || node._tag === "State" ||
  ("of" in node && !node._tag.startsWith("Batch") && node._tag !== "Sum" && isBatchConstant(node.of)) ||
  ("left" in node && isBatchConstant(node.left) && isBatchConstant(node.right))

const overBatch = (of: Node): Node => {
  if (isBatchConstant(of)) return of
  const { coefficient, factors } = asTerm(parse(of))
  const inside = factors.filter(({ base }) => !isBatchConstant(base))
  const outside = factors.filter(({ base }) => isBatchConstant(base))
  return canonical([
    multiply({ coefficient, factors: outside }, atom(apply("BatchMean", build([{ coefficient: 1, factors: inside }]))))
  ])
}

const permuted = (node: NodeOf<"BatchSort" | "BatchUnsort">): Node => {
  const of = simplify(node.of)
  const by = node.by === node.of ? of : simplify(node.by)
  const undoes = (of._tag === "BatchSort" || of._tag === "BatchUnsort") && of._tag !== node._tag && same(of.by, by)
  return undoes ? of.of : isBatchConstant(of) ? of : { _tag: node._tag, of, by }
}

const commutative = (tag: BinaryTag, node: { readonly left: Node; readonly right: Node }): Node => {
  const [a, b] = [simplify(node.left), simplify(node.right)]
  const [left, right] = keyOf(a) <= keyOf(b) ? [a, b] : [b, a]
  if (left._tag === "Constant" && right._tag === "Constant") return constant(binary[tag](left.value, right.value))
  return same(left, right) ? left : join(tag, left, right)
}
const isZero = (node: Node): boolean => node._tag === "Constant" && node.value === 0

const leaf = (node: Node): Node => node
const rules = match<Node>({
  Constant: ({ value }) => constant(value + 0),
  Parameter: leaf,
  Column: leaf,
  Variable: leaf,
  LogProb: leaf,
  Length: leaf,
  Negate: ({ of }) => negated(simplify(of)),
  Plus: ({ left, right }) => canonical([...parse(simplify(left)), ...parse(simplify(right))]),
  Times: ({ left, right }) => canonical([multiply(asTerm(parse(simplify(left))), asTerm(parse(simplify(right))))]),
  Divide: ({ left, right }) => {
    const below = asTerm(parse(simplify(right)))
    if (below.coefficient === 0) throw new FormulaError("a formula divides by zero")
    return canonical([multiply(asTerm(parse(simplify(left))), power(below, -1))])
  },
  Exp: ({ of }) => canonical([exponential(simplify(of))]),
  Log: ({ of }) => canonical(logarithm(parse(simplify(of)))),
  // log(1 + exp x) has one name: -log sigmoid(-x)
  Softplus: ({ of }) => negated(fold("LogSigmoid", negated(simplify(of)))),
  LogSigmoid: function_,
  Sigmoid: function_,
  Log1mExp: function_,
  Relu: function_,
  Step: function_,
  Detach: ({ of }) => {
    const inner = simplify(of)
    return isDetached(inner) ? inner : apply("Detach", inner)
  },
  Min: (node) => {
    const found = commutative("Min", node)
    return found._tag === "Min" && isZero(found.right) ? negated(fold("Relu", negated(found.left))) : found
  },
  Max: (node) => {
    const found = commutative("Max", node)
    return found._tag === "Max" && isZero(found.right) ? fold("Relu", found.left) : found
  },
  Sum: ({ of }) => overTokens(simplify(of), rankOf(of).slice("token:".length) as Side),
  BatchMean: ({ of }) => overBatch(simplify(of)),
  BatchSort: permuted,
  BatchUnsort: permuted,
  State: ({ name, of }) => ({ _tag: "State", name, of: simplify(of) })
})

const known = new WeakMap<Node, Node>()
/** Deterministic, and the same again when applied twice. The value and its gradient are unchanged, up to rounding. */
export const simplify = (node: Node): Node => {
  const found = known.get(node)
  if (found !== undefined) return found
  const simple = rules(node)
  known.set(node, simple)
  known.set(simple, simple)
  return simple
}
