// Products in canonical form. The exponent of a product is a sum and the terms of a sum are products, so this file and
// Sums.ts call each other, each time on something smaller.
import { apply, type Node } from "./Node.ts"
import { same } from "./Order.ts"
import { canonical } from "./Sums.ts"
import { atom, build, type Factor, merged, number, parse, power, scale, type Term, type Terms } from "./Terms.ts"

/** exp(k log x) = x^k and exp(k log sigmoid(x)) = sigmoid(x)^k for small whole k; a constant's is folded. */
export const exponential = (exponent: Node): Term => {
  const [term, ...rest] = parse(exponent)
  const [factor, ...others] = term?.factors ?? []
  const k = term?.coefficient ?? 0
  if (factor === undefined && rest.length === 0 && k < 700) return { coefficient: Math.exp(k), factors: [] }
  if (factor?.power === 1 && rest.length + others.length === 0 && Number.isInteger(k) && Math.abs(k) <= 4) {
    if (factor.base._tag === "Log") return power(asTerm(parse(factor.base.of)), k)
    if (factor.base._tag === "LogSigmoid" && k > 0) return atom(apply("Sigmoid", factor.base.of), k)
  }
  return atom(apply("Exp", exponent))
}

/** Powers of equal bases add up, and exponentials merge: exp(a) exp(b) = exp(a + b). */
export const multiply = (...terms: ReadonlyArray<Term>): Term => {
  const factors = terms.flatMap((term) => term.factors)
  const coefficient = terms.reduce((product, term) => product * term.coefficient, 1)
  const exponentials = factors.filter(({ base }) => base._tag === "Exp")
  if (exponentials.length === 0 || (exponentials.length === 1 && exponentials[0]?.power === 1)) {
    return { coefficient, factors: merged(factors) }
  }
  const exponents = exponentials.flatMap(({ base, power }) => (base._tag === "Exp" ? scale(parse(base.of), power) : []))
  const joined = exponential(canonical(exponents))
  const others = factors.filter(({ base }) => base._tag !== "Exp")
  return { coefficient: coefficient * joined.coefficient, factors: merged([...others, ...joined.factors]) }
}

/** A sum as one factor: its sign (so that its first term is positive) and a common magnitude become the coefficient. */
export const asTerm = (terms: Terms): Term => {
  const [first, ...rest] = terms
  if (first === undefined) return { coefficient: 0, factors: [] }
  if (rest.length === 0) return first
  const magnitude = Math.abs(first.coefficient)
  const shared = rest.every((term) => Math.abs(term.coefficient) === magnitude) ? magnitude : 1
  const content = Math.sign(first.coefficient) * shared
  const inside = terms.map((term) => ({ ...term, coefficient: term.coefficient / content }))
  return { coefficient: content, factors: [{ base: build(inside), power: 1 }] }
}

/** c e^a + d e^b, where the second may be a bare constant. */
export interface Exponentials {
  readonly coefficients: readonly [number, number]
  readonly exponents: readonly [Terms, Terms]
}
export const twoExponentials = (terms: Terms): Exponentials | undefined => {
  const [first, second, ...more] = terms
  if (first === undefined || second === undefined || more.length > 0) return undefined
  const exponentOf = ({ factors }: Term): Terms | undefined => {
    const [factor, ...others] = factors
    if (factor === undefined) return []
    return factor.base._tag === "Exp" && others.length === 0 ? parse(factor.base.of) : undefined
  }
  const [a, b] = [exponentOf(first), exponentOf(second)]
  if (a === undefined || b === undefined) return undefined
  return { coefficients: [first.coefficient, second.coefficient], exponents: [a, b] }
}

/** a - b + log(ratio) */
export const gap = (a: Terms, b: Terms, ratio: number): Node =>
  canonical([...a, ...scale(b, -1), ...number(Math.log(ratio))])

/** 1 / (c e^a + d e^b) = sigmoid(b - a + log d/c) / (d e^b), for c, d > 0. */
const reciprocal = ({ base, power: times }: Factor): Term => {
  const found = base._tag === "Plus" && times < 0 ? twoExponentials(parse(base)) : undefined
  const [c, d] = found?.coefficients ?? [0, 0]
  if (found === undefined || c <= 0 || d <= 0) return atom(base, times)
  const [a, b] = found.exponents
  const sigmoid = atom(apply("Sigmoid", gap(b, a, d / c)))
  const rest = b.length === 0
    ? atom(apply("Sigmoid", gap(b, a, d / c)), 0)
    : atom(apply("Exp", canonical(scale(b, -1))))
  return power(multiply({ coefficient: 1 / d, factors: [] }, rest, sigmoid), -times)
}

export const negated = (node: Node): Node => canonical(scale(parse(node), -1))

/**
 * A product in which nothing overflows that another factor would have cancelled: no reciprocal of 1 + exp x, and
 * e^a sigmoid(u) = e^(a + log sigmoid(u)), which is sigmoid(-u) when a = -u.
 */
export const tidy = (term: Term): Term => {
  const opened = multiply({ coefficient: term.coefficient, factors: [] }, ...term.factors.map(reciprocal))
  const exp = opened.factors.find(({ base }) => base._tag === "Exp")?.base
  const sigmoid = opened.factors.find(({ base, power }) => base._tag === "Sigmoid" && power > 0)?.base
  if (exp?._tag !== "Exp" || sigmoid?._tag !== "Sigmoid") return opened
  const joined = same(exp.of, negated(sigmoid.of))
    ? apply("Sigmoid", exp.of)
    : apply("Exp", canonical([...parse(exp.of), atom(apply("LogSigmoid", sigmoid.of))]))
  return tidy(multiply(opened, atom(exp, -1), atom(sigmoid, -1), atom(joined)))
}
