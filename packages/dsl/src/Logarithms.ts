// log of a sum of products, in the form that neither overflows nor cancels.
// Domain: log is taken of positive values and the variable r is a ratio, so log(x y) = log x + log y where x > 0 by its form.
import { apply, type Node } from "./Node.ts"
import { gap, negated, twoExponentials } from "./Products.ts"
import { atom, build, number, parse, scale, type Term, type Terms } from "./Terms.ts"

const isPositive = (node: Node): boolean =>
  node._tag === "Exp" || node._tag === "Sigmoid" || node._tag === "Length" || node._tag === "Variable" ||
  (node._tag === "Plus" &&
    parse(node).every(({ coefficient, factors }) =>
      coefficient > 0 && factors.every(({ base, power }) => power % 2 === 0 || isPositive(base))
    ))

const minus = (term: Term): Term => ({ ...term, coefficient: -term.coefficient })

/** log(c e^a + d e^b) = log d + b + log(1 + e^(a - b + log c/d)), and likewise with a minus sign. */
const ofSum = (terms: Terms): Terms => {
  const found = twoExponentials(terms)
  const [c, d] = found?.coefficients ?? [-1, -1]
  if (found === undefined || (c < 0 && d < 0)) return [atom(apply("Log", build(terms)))]
  const [a, b] = found.exponents
  if (c > 0 && d > 0) {
    return [...number(Math.log(d)), ...b, minus(atom(apply("LogSigmoid", negated(gap(a, b, c / d)))))]
  }
  const [large, top, small, rest] = d > 0 ? [d, b, -c, a] : [c, a, -d, b]
  return [...number(Math.log(large)), ...top, atom(apply("Log1mExp", gap(rest, top, small / large)))]
}

const ofBase = (base: Node): Terms =>
  base._tag === "Exp"
    ? parse(base.of)
    : base._tag === "Sigmoid"
    ? [atom(apply("LogSigmoid", base.of))]
    : ofSum(parse(base))

/** Positive factors come out, exponentials open, log(1 + exp x) becomes -log sigmoid(-x). */
export const logarithm = (terms: Terms): Terms => {
  const [term, ...more] = terms
  if (term === undefined || more.length > 0) return ofSum(terms)
  const outside = term.coefficient > 0 ? term.factors.filter(({ base }) => isPositive(base)) : []
  const inside = term.factors.filter((factor) => !outside.includes(factor))
  const opened = outside.flatMap(({ base, power }) => scale(ofBase(base), power))
  const magnitude = number(Math.log(Math.abs(term.coefficient)))
  if (inside.length === 0 && term.coefficient > 0) return [...opened, ...magnitude]
  return [
    ...opened,
    ...magnitude,
    atom(apply("Log", build([{ coefficient: Math.sign(term.coefficient), factors: inside }])))
  ]
}
