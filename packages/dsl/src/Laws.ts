// The laws of exp, log and sigmoid on sums of products: each turns a form that overflows or cancels into one that does not.
import { apply, children, type Node } from "./Node.ts"
import { asTerm, atom, build, collect, type Factor, multiply, number, parse, power, scale, type Term, termKey, type Terms } from "./Terms.ts"
import { same } from "./Order.ts"

/** Known to be > 0 by its form; r is a ratio. */
const isPositive = (node: Node): boolean =>
  node._tag === "Exp" || node._tag === "Sigmoid" || node._tag === "Length" || node._tag === "Variable" ||
  (node._tag === "Plus" &&
    parse(node).every(({ coefficient, factors }) =>
      coefficient > 0 && factors.every(({ base, power }) => power % 2 === 0 || isPositive(base))
    ))

/** Carries no gradient: nothing of the policy outside `detach` and running means. */
export const isDetached = (node: Node): boolean =>
  node._tag === "Detach" || node._tag === "State" ||
  (node._tag === "LogProb" ? node.model === "reference" : children(node).every(isDetached))

interface Exponentials {
  readonly coefficients: readonly [number, number]
  readonly exponents: readonly [Terms, Terms]
}
/** Reads c exp(a) + d exp(b), where either may be a bare constant; the second is the constant if one is. */
const twoExponentials = (terms: Terms): Exponentials | undefined => {
  const [first, second, ...more] = terms
  if (first === undefined || second === undefined || more.length > 0) return undefined
  const exponent = ({ factors }: Term): Terms | undefined => {
    const [factor, ...others] = factors
    if (factor === undefined) return []
    return factor.base._tag === "Exp" && others.length === 0 ? parse(factor.base.of) : undefined
  }
  const [a, b] = [exponent(first), exponent(second)]
  if (a === undefined || b === undefined) return undefined
  return { coefficients: [first.coefficient, second.coefficient], exponents: [a, b] }
}

/** a - b + log(c / d) */
const gap = (a: Terms, b: Terms, ratio: number): Terms => collect([...a, ...scale(b, -1), ...number(Math.log(ratio))])

/** log(c e^a + d e^b) = log d + b + log(1 + e^(a - b + log c/d)), and likewise with a minus. */
const logOfSum = (terms: Terms): Terms => {
  const found = twoExponentials(terms)
  if (found === undefined) return [atom(apply("Log", build(terms)))]
  const [c, d] = found.coefficients
  const [a, b] = found.exponents
  if (c > 0 && d > 0) {
    const softplus = { ...atom(apply("LogSigmoid", build(scale(gap(a, b, c / d), -1)))), coefficient: -1 }
    return [...number(Math.log(d)), ...b, softplus]
  }
  if (c > 0 === d > 0) return [atom(apply("Log", build(terms)))]
  const [large, small, top, rest] = d > 0 ? [d, -c, b, a] : [c, -d, a, b]
  return [...number(Math.log(large)), ...top, atom(apply("Log1mExp", build(gap(rest, top, small / large))))]
}

const logOfBase = (base: Node): Terms =>
  base._tag === "Exp"
    ? parse(base.of)
    : base._tag === "Sigmoid"
    ? [atom(apply("LogSigmoid", base.of))]
    : logOfSum(parse(base))

/** log of a sum of products: positive factors come out, exponentials open, log(1 + exp x) becomes softplus. */
export const logSum = (terms: Terms): Terms => {
  const [term, ...more] = terms
  if (term === undefined || more.length > 0) return logOfSum(terms)
  const outside = term.factors.filter(({ base }) => term.coefficient > 0 && isPositive(base))
  const inside = term.factors.filter((factor) => !outside.includes(factor))
  const opened = outside.flatMap(({ base, power }) => scale(logOfBase(base), power))
  if (inside.length === 0 && term.coefficient > 0) return [...opened, ...number(Math.log(term.coefficient))]
  const magnitude = Math.abs(term.coefficient)
  const rest = build([{ coefficient: Math.sign(term.coefficient), factors: inside }])
  return [...opened, ...number(Math.log(magnitude)), atom(apply("Log", rest))]
}

/** 1 / (c e^a + d e^b) = sigmoid(b - a - log c/d) / (d e^b), for c, d > 0. */
const reciprocal = ({ base, power: times }: Factor): Term => {
  const found = base._tag === "Plus" && times < 0 ? twoExponentials(parse(base)) : undefined
  const [c, d] = found?.coefficients ?? [0, 0]
  if (found === undefined || c <= 0 || d <= 0) return atom(base, times)
  const [a, b] = found.exponents
  const scaled = multiply({ coefficient: 1 / d, factors: [] }, atom(apply("Exp", build(scale(b, -1)))))
  return power(multiply(scaled, atom(apply("Sigmoid", build(scale(gap(a, b, c / d), -1))))), -times)
}

const negated = (node: Node): Node => build(scale(parse(node), -1))

/** A product without reciprocals of 1 + exp x, and e^(-u) sigmoid(u) = sigmoid(-u). */
export const tidy = (term: Term): Term => {
  const opened = multiply({ ...term, factors: [] }, ...term.factors.map(reciprocal))
  const exp = opened.factors.find(({ base }) => base._tag === "Exp")?.base
  const sigmoid = opened.factors.find(({ base, power }) =>
    base._tag === "Sigmoid" && power > 0 && exp?._tag === "Exp" && same(exp.of, negated(base.of))
  )?.base
  if (exp?._tag !== "Exp" || sigmoid === undefined) return opened
  return tidy(multiply(opened, power(atom(exp), -1), atom(sigmoid, -1), atom(apply("Sigmoid", exp.of))))
}

/** The terms without `gone` (equal products and coefficients), or undefined if one of them is missing. */
const without = (terms: Terms, gone: Terms): Terms | undefined => {
  const removed = new Map(gone.map((term) => [termKey(term.factors), term.coefficient]))
  const left = terms.filter(({ coefficient, factors }) => removed.get(termKey(factors)) !== coefficient)
  return left.length === terms.length - removed.size ? left : undefined
}

/** Joins terms: m log sigmoid(u) - m u = m log sigmoid(-u), and m - m sigmoid(u) = m sigmoid(-u). */
export const unite = (terms: Terms): Terms => {
  for (const term of terms) {
    for (const { base, power: times } of term.factors) {
      if (times !== 1 || (base._tag !== "LogSigmoid" && base._tag !== "Sigmoid")) continue
      const others = multiply(term, atom(base, -1))
      const flipped = atom(apply(base._tag, negated(base.of)))
      const log = base._tag === "LogSigmoid"
      const partners = log
        ? [parse(base.of).map((u) => multiply(others, u)), [multiply(others, asTerm(parse(base.of)))]]
        : [[others]]
      for (const partner of partners) {
        const rest = without(terms.filter((other) => other !== term), scale(collect(partner), -1))
        if (rest === undefined) continue
        const joined = log ? multiply(others, flipped) : multiply({ coefficient: -1, factors: [] }, others, flipped)
        return unite(collect([...rest, joined]))
      }
    }
  }
  return terms
}
