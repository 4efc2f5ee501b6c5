// A canonical sum of products as data, and its two directions: `parse` reads it off a canonical node, `build` writes it.
// A sum inside a product is one factor; nothing is multiplied out here.
import { apply, constant, join, match, type Node } from "./Node.ts"
import { keyOf } from "./Order.ts"

/** A canonical node that is no product, to a whole power other than 0. */
export interface Factor {
  readonly base: Node
  readonly power: number
}
export interface Term {
  readonly coefficient: number
  /** In the order of keys, each base once. */
  readonly factors: ReadonlyArray<Factor>
}
/** A sum. Empty is 0. */
export type Terms = ReadonlyArray<Term>

export const number = (value: number): Terms => (value === 0 ? [] : [{ coefficient: value, factors: [] }])
export const atom = (base: Node, power = 1): Term => ({ coefficient: 1, factors: [{ base, power }] })
export const scale = (terms: Terms, by: number): Terms =>
  terms.map((term) => ({ ...term, coefficient: term.coefficient * by }))
export const power = ({ coefficient, factors }: Term, by: number): Term => ({
  coefficient: coefficient ** by,
  factors: factors.map((factor) => ({ ...factor, power: factor.power * by }))
})

const isParameter = ({ base }: Factor): boolean => base._tag === "Parameter"
/** The key of a product without its coefficient. What depends on the data comes first, constants last. */
export const termKey = (factors: ReadonlyArray<Factor>): string => {
  if (factors.length === 0) return "~~"
  const key = factors.map(({ base, power }) => `${keyOf(base)}^${power}`).join("*")
  return factors.every(isParameter) ? `~${key}` : key
}
export const byKey = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number =>
  a < b ? -1 : a > b ? 1 : 0

/** Equal bases once, their powers added. */
export const merged = (factors: ReadonlyArray<Factor>): ReadonlyArray<Factor> => {
  const found = new Map<string, Factor>()
  for (const { base, power } of factors) {
    const key = keyOf(base)
    found.set(key, { base, power: (found.get(key)?.power ?? 0) + power })
  }
  return [...found].filter(([, { power }]) => power !== 0).toSorted(byKey).map(([, factor]) => factor)
}

const single = (node: Node): Terms => [atom(node)]
/** A sum below a product is one of its factors. */
const asProduct = (
  node: Node
): Term => (node._tag === "Plus" ? atom(node) : parse(node)[0] ?? { coefficient: 0, factors: [] })
const product = (a: Term, b: Term): Terms => [
  { coefficient: a.coefficient * b.coefficient, factors: merged([...a.factors, ...b.factors]) }
]

/** The terms of a canonical node. */
export const parse: (node: Node) => Terms = match<Terms>({
  Constant: ({ value }) => number(value),
  Negate: ({ of }) => scale(parse(of), -1),
  Plus: ({ left, right }) => [...parse(left), ...parse(right)],
  Times: ({ left, right }) => product(asProduct(left), asProduct(right)),
  Divide: ({ left, right }) => product(asProduct(left), power(asProduct(right), -1)),
  Parameter: single,
  Column: single,
  Variable: single,
  LogProb: single,
  Length: single,
  Exp: single,
  Log: single,
  LogSigmoid: single,
  Softplus: single,
  Sigmoid: single,
  Log1mExp: single,
  Relu: single,
  Step: single,
  Detach: single,
  Min: single,
  Max: single,
  Sum: single,
  BatchMean: single,
  BatchSort: single,
  BatchUnsort: single,
  State: single
})

const repeated = (factors: ReadonlyArray<Factor>): ReadonlyArray<Node> =>
  factors.flatMap(({ base, power }) => Array.from({ length: Math.abs(power) }, () => base))
const chain = (nodes: ReadonlyArray<Node>): Node => nodes.reduce((left, right) => join("Times", left, right))

/** The coefficient outermost, so that what is below it is canonical by itself. */
const buildTerm = (coefficient: number, factors: ReadonlyArray<Factor>): Node => {
  const above = repeated(factors.filter((factor) => factor.power > 0))
  const below = repeated(factors.filter((factor) => factor.power < 0))
  const alone = above.length === 0
  const top = alone ? constant(coefficient) : chain(above)
  const fraction = below.length === 0 ? top : join("Divide", top, chain(below))
  return alone || coefficient === 1 ? fraction : join("Times", constant(coefficient), fraction)
}

/** The node of terms in order; `parse` undoes it. */
export const build = (terms: Terms): Node => {
  const [first, ...rest] = terms
  if (first === undefined) return constant(0)
  if (first.factors.length === 0 && rest.length === 0) return constant(first.coefficient)
  const signed = ({ coefficient, factors }: Term): Node =>
    coefficient < 0 ? apply("Negate", buildTerm(-coefficient, factors)) : buildTerm(coefficient, factors)
  return rest.reduce((left, term) => join("Plus", left, signed(term)), signed(first))
}
