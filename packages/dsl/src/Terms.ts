// A canonical sum of products: what Simplify computes with. Factors are canonical nodes with whole powers; a sum inside
// a product stays one factor, so nothing is multiplied out unless Simplify finds that it pays.
// Leaves out every law of exp, log and sigmoid, except that exponentials merge: exp(a) exp(b) = exp(a + b).
import { apply, constant, join, match, type Node, type NodeOf } from "./Node.ts"
import { keyOf } from "./Order.ts"

/** power != 0 */
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

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
export const termKey = (factors: ReadonlyArray<Factor>): string =>
  factors.length === 0 ? "~" : factors.map(({ base, power }) => `${keyOf(base)}^${power}`).join("*")

export const number = (value: number): Terms => (value === 0 ? [] : [{ coefficient: value, factors: [] }])
export const atom = (base: Node, power = 1): Term => ({ coefficient: 1, factors: [{ base, power }] })

/** Like terms collected, zeros dropped, in order. A lone sum in parentheses is opened. */
export const collect = (terms: Terms): Terms => {
  const found = new Map<string, Term>()
  const add = ({ coefficient, factors }: Term): void => {
    const [first, second] = factors
    if (first?.base._tag === "Plus" && first.power === 1 && second === undefined) {
      for (const inner of parse(first.base)) add({ ...inner, coefficient: inner.coefficient * coefficient })
      return
    }
    const key = termKey(factors)
    found.set(key, { coefficient: (found.get(key)?.coefficient ?? 0) + coefficient, factors })
  }
  terms.forEach(add)
  return [...found]
    .filter(([, term]) => term.coefficient !== 0)
    .toSorted(([a], [b]) => compare(a, b))
    .map(([, term]) => term)
}

export const scale = (terms: Terms, by: number): Terms =>
  by === 0 ? [] : terms.map((term) => ({ ...term, coefficient: term.coefficient * by }))

/** One term for a sum: its sign (so that its first term is positive) and a common magnitude go to the coefficient. */
export const asTerm = (terms: Terms): Term => {
  const [first, ...rest] = terms
  if (first === undefined) return { coefficient: 0, factors: [] }
  if (rest.length === 0) return first
  const sign = Math.sign(first.coefficient)
  const magnitude = Math.abs(first.coefficient)
  const content = rest.every((term) => Math.abs(term.coefficient) === magnitude) ? sign * magnitude : sign
  return { coefficient: content, factors: [{ base: build(scale(terms, 1 / content)), power: 1 }] }
}

export const power = ({ coefficient, factors }: Term, by: number): Term => ({
  coefficient: coefficient ** by,
  factors: factors.map((factor) => ({ ...factor, power: factor.power * by }))
})

/** Powers of equal bases add up; exponentials merge into one of power 1. */
export const multiply = (...terms: ReadonlyArray<Term>): Term => {
  const found = new Map<string, Factor>()
  const exponents: Array<Term> = []
  for (const { base, power } of terms.flatMap((term) => term.factors)) {
    if (base._tag === "Exp") exponents.push(...scale(parse(base.of), power))
    else found.set(keyOf(base), { base, power: (found.get(keyOf(base))?.power ?? 0) + power })
  }
  const exponent = collect(exponents)
  if (exponent.length > 0) {
    const base = apply("Exp", build(exponent))
    found.set(keyOf(base), { base, power: 1 })
  }
  return {
    coefficient: terms.reduce((product, term) => product * term.coefficient, 1),
    factors: [...found].filter(([, f]) => f.power !== 0).toSorted(([a], [b]) => compare(a, b)).map(([, f]) => f)
  }
}

/** Every product of sums multiplied out; undefined when that makes more than `limit` terms. */
export const expand = (terms: Terms, limit = 200): Terms | undefined => {
  const out: Array<Term> = []
  for (const { coefficient, factors } of terms) {
    let products: Array<Term> = [{ coefficient, factors: [] }]
    for (const factor of factors) {
      const open = factor.base._tag === "Plus" && factor.power > 0
      const inner = open ? parse(factor.base) : [atom(factor.base, factor.power)]
      for (let i = 0; i < (open ? factor.power : 1); i++) {
        products = products.flatMap((product) => inner.map((term) => multiply(product, term)))
        if (products.length + out.length > limit) return undefined
      }
    }
    out.push(...products)
  }
  return collect(out)
}

const single = (node: Node): Terms => [atom(node)]
const fraction = ({ left, right }: NodeOf<"Divide">): Terms => [
  multiply(asTerm(parse(left)), power(asTerm(parse(right)), -1))
]

/** The terms of a canonical node. */
export const parse: (node: Node) => Terms = match<Terms>({
  Constant: ({ value }) => number(value),
  Negate: ({ of }) => scale(parse(of), -1),
  Plus: ({ left, right }) => [...parse(left), ...parse(right)],
  Times: ({ left, right }) => [multiply(asTerm(parse(left)), asTerm(parse(right)))],
  Divide: fraction,
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

const product = (factors: ReadonlyArray<Factor>): ReadonlyArray<Node> =>
  factors.flatMap(({ base, power }) => Array.from({ length: Math.abs(power) }, () => base))
const chain = (nodes: ReadonlyArray<Node>): Node => nodes.reduce((left, right) => join("Times", left, right))

/** coefficient > 0 */
const buildTerm = ({ coefficient, factors }: Term): Node => {
  const above = product(factors.filter((factor) => factor.power > 0))
  const below = product(factors.filter((factor) => factor.power < 0))
  const top = coefficient === 1 && above.length > 0 ? chain(above) : chain([constant(coefficient), ...above])
  return below.length === 0 ? top : join("Divide", top, chain(below))
}

/** The node of canonical terms; `parse` undoes it. */
export const build = (terms: Terms): Node => {
  const [first, ...rest] = terms
  if (first === undefined) return constant(0)
  const signed = (term: Term): Node =>
    term.coefficient < 0 ? apply("Negate", buildTerm({ ...term, coefficient: -term.coefficient })) : buildTerm(term)
  if (first.factors.length === 0 && rest.length === 0) return constant(first.coefficient)
  return rest.reduce((left, term) => join("Plus", left, signed(term)), signed(first))
}
