// Sums in canonical form: like terms collected, sums over tokens joined, common factors taken out, products multiplied out
// only where that makes the sum smaller. See Products.ts for the other half of the recursion.
import { apply, type Node, type NodeOf, rankOf } from "./Node.ts"
import { keyOf, size } from "./Order.ts"
import { asTerm, multiply, negated, tidy } from "./Products.ts"
import { atom, build, byKey, type Factor, parse, power, scale, type Term, termKey, type Terms } from "./Terms.ts"

/** The sum over tokens in a product that has one, to the power 1. */
const onlySum = ({ factors }: Term): NodeOf<"Sum"> | undefined => {
  const [sum, ...more] = factors.filter(({ base }) => base._tag === "Sum")
  return sum?.base._tag === "Sum" && sum.power === 1 && more.length === 0 ? sum.base : undefined
}

/** Like terms once, zeros dropped, in order. Lone sums in parentheses and sums over tokens are opened to be compared. */
export const collect = (terms: Terms): Terms => {
  const found = new Map<string, Term>()
  const add = (term: Term): void => {
    const { coefficient, factors } = term
    const [first, ...others] = factors
    if (first?.base._tag === "Plus" && first.power === 1 && others.length === 0) {
      return scale(parse(first.base), coefficient).forEach(add)
    }
    const open = onlySum(term)
    if (open?.of._tag === "Plus") {
      const outside = multiply(term, atom(open, -1))
      for (const inner of parse(open.of)) {
        const unit = build([{ ...inner, coefficient: 1 }])
        add(multiply({ ...outside, coefficient: coefficient * inner.coefficient }, atom(apply("Sum", unit))))
      }
      return
    }
    const key = termKey(factors)
    found.set(key, { coefficient: (found.get(key)?.coefficient ?? 0) + coefficient, factors })
  }
  terms.forEach(add)
  return [...found].filter(([, { coefficient }]) => coefficient !== 0).toSorted(byKey).map(([, term]) => term)
}

/** m sum(a) - m sum(b) = m sum(a - b): the difference of tokens rounds less than the difference of sums. */
const joinSums = (terms: Terms): Terms => {
  const found = new Map<string, { readonly outside: Term; readonly inside: Array<Term> }>()
  const others: Array<Term> = []
  for (const term of terms) {
    const base = onlySum(term)
    if (base === undefined) {
      others.push(term)
      continue
    }
    const outside = multiply({ ...term, coefficient: 1 }, atom(base, -1))
    const key = `${rankOf(base.of)} ${termKey(outside.factors)}`
    const entry = found.get(key) ?? { outside, inside: [] }
    entry.inside.push(...scale(parse(base.of), term.coefficient))
    found.set(key, entry)
  }
  const joined = [...found.values()].map(({ inside, outside }) => {
    const { coefficient, factors } = asTerm(collect(inside))
    return multiply(outside, { ...atom(apply("Sum", build([{ coefficient: 1, factors }]))), coefficient })
  })
  return [...others, ...joined].map((term) => [termKey(term.factors), term] as const).toSorted(byKey).map(([, t]) => t)
}

/** Takes the factor that most terms share out of them, again and again: x y + x z + w = x (y + z) + w. */
const factor = (terms: Terms): Terms => {
  const shared = new Map<string, { readonly factor: Factor; readonly members: Array<Term> }>()
  for (const term of terms) {
    for (const { base, power } of term.factors) {
      const key = `${keyOf(base)}^${Math.sign(power)}`
      const entry = shared.get(key) ?? { factor: { base, power: Math.sign(power) }, members: [] }
      entry.members.push(term)
      shared.set(key, entry)
    }
  }
  const [best] = [...shared.values()]
    .filter(({ members }) => members.length > 1)
    .toSorted((a, b) => b.members.length - a.members.length)
  if (best === undefined) return terms
  const outer = { coefficient: 1, factors: [best.factor] }
  const inner = finish(best.members.map((term) => multiply(term, power(outer, -1))))
  const rest = terms.filter((term) => !best.members.includes(term))
  return finish([...rest, multiply(asTerm(inner), outer)])
}

/** The terms without `gone` (equal products and coefficients), or undefined if one of them is missing. */
const without = (terms: Terms, gone: Terms): Terms | undefined => {
  const removed = new Map(gone.map((term) => [termKey(term.factors), term.coefficient]))
  const left = terms.filter(({ coefficient, factors }) => removed.get(termKey(factors)) !== coefficient)
  return left.length === terms.length - removed.size ? left : undefined
}

/** m log sigmoid(u) - m u = m log sigmoid(-u), and m - m sigmoid(u) = m sigmoid(-u). */
const unite = (terms: Terms): Terms => {
  for (const term of terms) {
    for (const { base, power } of term.factors) {
      if (power !== 1 || (base._tag !== "LogSigmoid" && base._tag !== "Sigmoid")) continue
      const others = multiply(term, atom(base, -1))
      const log = base._tag === "LogSigmoid"
      const partner = log ? parse(base.of).map((u) => multiply(others, u)) : [others]
      const rest = without(terms.filter((other) => other !== term), scale(collect(partner), -1))
      if (rest === undefined) continue
      const flipped = multiply(others, atom(apply(base._tag, negated(base.of))))
      return unite(collect([...rest, { ...flipped, coefficient: flipped.coefficient * (log ? 1 : -1) }]))
    }
  }
  return terms
}

const finish = (terms: Terms): Terms => factor(joinSums(unite(collect(terms.map(tidy)))))

/** Every product of sums multiplied out; undefined when that makes more than `limit` terms. */
const expand = (terms: Terms, limit = 200): Terms | undefined => {
  const out: Array<Term> = []
  for (const { coefficient, factors } of terms) {
    let products: Array<Term> = [{ coefficient, factors: [] }]
    for (const { base, power } of factors) {
      const open = base._tag === "Plus" && power > 0
      const inner = open ? parse(base) : [atom(base, power)]
      for (let i = 0; i < (open ? power : 1); i++) {
        products = products.flatMap((product) => inner.map((term) => multiply(product, term)))
        if (products.length + out.length > limit) return undefined
      }
    }
    out.push(...products)
  }
  return out
}

const hasProduct = ({ factors }: Term): boolean => factors.some(({ base, power }) => base._tag === "Plus" && power > 0)

/** The smaller of the sum as it stands and the sum multiplied out. */
export const canonical = (terms: Terms): Node => {
  const plain = build(finish(terms))
  const collected = collect(terms.map(tidy))
  const opened = collected.length > 1 && collected.some(hasProduct) ? expand(collected) : undefined
  if (opened === undefined) return plain
  const open = build(finish(opened))
  return size(open) < size(plain) ? open : plain
}
