// Formulas as people read them: one line of text for terminals, LaTeX for papers and model cards. Deterministic.
// w is the chosen answer, l the rejected one. The printed formula is the simplified one.
import { match, type ModelName, type Node, type Side } from "./Node.ts"
import { keyOf } from "./Order.ts"
import { simplify } from "./Simplify.ts"
import { type Factor, parse, type Term } from "./Terms.ts"

type Call = "Exp" | "Log" | "LogSigmoid" | "Softplus" | "Sigmoid" | "Log1mExp" | "Relu" | "Step" | "Detach"
type Quantity = "ratio" | ModelName

export interface Notation {
  readonly number: (value: number) => string
  readonly name: (name: string) => string
  /** A log-probability or log-ratio of a side: of one token, of the answer, or per token of the answer. */
  readonly answer: (of: Quantity, side: string, over: "token" | "sum" | "mean") => string
  readonly length: (side: string) => string
  readonly variable: string
  readonly brackets: (inside: string) => string
  readonly calls: { readonly [T in Call | "Sum" | "BatchMean" | "BatchSort" | "BatchUnsort"]: (x: string) => string }
  readonly state: (name: string, x: string) => string
  readonly choice: (which: "Min" | "Max", a: string, b: string) => string
  readonly power: (base: string, power: number) => string
  /** `tight`: one symbol, needs no brackets below the line. */
  readonly fraction: (top: string, below: string, tight: boolean) => string
}

const sides: { readonly [S in Side]: string } = { chosen: "w", rejected: "l", answer: "y" }
/** Names of parameters that are written as letters. */
export const greek: Readonly<Record<string, string>> = {
  alpha: "α",
  beta: "β",
  gamma: "γ",
  delta: "δ",
  epsilon: "ε",
  lambda: "λ",
  tau: "τ"
}
const quantities: { readonly [Q in Quantity]: string } = { ratio: "log-ratio", policy: "logp", reference: "logp-ref" }
const superscripts = ["⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"]
const called = (name: string) => (x: string): string => `${name}(${x})`

const text: Notation = {
  number: String,
  name: (name) => greek[name] ?? name,
  answer: (of, side, over) =>
    `${over === "mean" ? "mean " : over === "token" ? "token " : ""}${quantities[of]}_${side}`,
  length: (side) => `n_${side}`,
  variable: "r",
  brackets: (inside) => `(${inside})`,
  calls: {
    Exp: called("exp"),
    Log: called("log"),
    LogSigmoid: called("log σ"),
    Softplus: called("softplus"),
    Sigmoid: called("σ"),
    Log1mExp: called("log1mexp"),
    Relu: called("relu"),
    Step: called("step"),
    Detach: called("detach"),
    Sum: called("sum"),
    BatchMean: called("batch-mean"),
    BatchSort: called("batch-sort"),
    BatchUnsort: called("batch-unsort")
  },
  state: (name, x) => `running-mean[${name}](${x})`,
  choice: (which, a, b) => `${which === "Min" ? "min" : "max"}(${a}, ${b})`,
  power: (base, power) => `${base}${[...String(power)].map((digit) => superscripts[Number(digit)]).join("")}`,
  fraction: (top, below, tight) => `${top} / ${tight ? below : `(${below})`}`
}

const command = (name: string) => (x: string): string => `${name}\\left(${x}\\right)`
const models: { readonly [M in ModelName]: string } = { policy: "\\pi", reference: "\\pi_{\\mathrm{ref}}" }

const latex: Notation = {
  number: (value) => {
    const below = 1 / value
    return Number.isInteger(below) && Math.abs(below) > 1 && below <= 100 ? `\\tfrac{1}{${below}}` : String(value)
  },
  name: (name) => (name in greek ? `\\${name}` : `\\mathrm{${name.replaceAll("_", "\\_")}}`),
  answer: (of, side, over) => {
    const y = over === "token" ? `y_{${side},t}` : `y_${side}`
    const log = of === "ratio"
      ? `\\log\\frac{${models.policy}(${y})}{${models.reference}(${y})}`
      : `\\log ${models[of]}(${y})`
    return over === "mean" ? `\\tfrac{1}{|${y}|}${log}` : log
  },
  length: (side) => `|y_${side}|`,
  variable: "r",
  brackets: (inside) => `\\left(${inside}\\right)`,
  calls: {
    Exp: command("\\exp"),
    Log: command("\\log"),
    LogSigmoid: command("\\log\\sigma"),
    Softplus: command("\\operatorname{softplus}"),
    Sigmoid: command("\\sigma"),
    Log1mExp: (x) => `\\log\\left(1 - \\exp\\left(${x}\\right)\\right)`,
    Relu: (x) => `\\max\\left(0, ${x}\\right)`,
    Step: (x) => `\\mathbb{1}\\left[${x} > 0\\right]`,
    Detach: command("\\operatorname{sg}"),
    Sum: (x) => `\\sum_t \\left(${x}\\right)`,
    BatchMean: (x) => `\\mathbb{E}_{\\mathrm{batch}}\\left[${x}\\right]`,
    BatchSort: command("\\operatorname{sort}"),
    BatchUnsort: command("\\operatorname{unsort}")
  },
  state: (_, x) => `\\overline{${x}}`,
  choice: (which, a, b) => `\\${which === "Min" ? "min" : "max"}\\left(${a}, ${b}\\right)`,
  power: (base, power) => `${base}^{${power}}`,
  fraction: (top, below) => `\\frac{${top}}{${below}}`
}

/** Tokens that a sum is over, when it has a name of its own: one model's log-probabilities, or their difference. */
const named = (node: Node): readonly [Quantity, Side] | undefined => {
  if (node._tag === "LogProb") return [node.model, node.side]
  const [first, second, ...more] = parse(node)
  const [a, b] = [first?.factors[0]?.base, second?.factors[0]?.base]
  return a?._tag === "LogProb" && b?._tag === "LogProb" && more.length === 0 && a.side === b.side &&
      a.model === "policy" && b.model === "reference" && first?.coefficient === 1 && second?.coefficient === -1
    ? ["ratio", a.side]
    : undefined
}

const mentionsChosen = (term: Term): boolean => term.factors.some(({ base }) => keyOf(base).includes("chosen"))
/** Chosen first, then a positive term to the front. */
const readable = (terms: ReadonlyArray<Term>): ReadonlyArray<Term> => {
  const sorted = terms.toSorted((a, b) => Number(mentionsChosen(b)) - Number(mentionsChosen(a)))
  const front = sorted.find(({ coefficient }) => coefficient > 0)
  return front === undefined ? sorted : [front, ...sorted.filter((term) => term !== front)]
}

export const printer = (to: Notation): (node: Node) => string => {
  /** Undefined for the tags that `sum` prints. */
  const atom = match<string | undefined>({
    Constant: () => undefined,
    Negate: () => undefined,
    Plus: () => undefined,
    Times: () => undefined,
    Divide: () => undefined,
    Parameter: ({ name }) => to.name(name),
    Column: ({ name }) => to.name(name),
    Variable: () => to.variable,
    LogProb: ({ model, side }) => to.answer(model, sides[side], "token"),
    Length: ({ side }) => to.length(sides[side]),
    Sum: ({ of }) => {
      const known = named(of)
      return known === undefined ? to.calls.Sum(sum(of)) : to.answer(known[0], sides[known[1]], "sum")
    },
    Exp: ({ of }) => to.calls.Exp(sum(of)),
    Log: ({ of }) => to.calls.Log(sum(of)),
    LogSigmoid: ({ of }) => to.calls.LogSigmoid(sum(of)),
    Softplus: ({ of }) => to.calls.Softplus(sum(of)),
    Sigmoid: ({ of }) => to.calls.Sigmoid(sum(of)),
    Log1mExp: ({ of }) => to.calls.Log1mExp(sum(of)),
    Relu: ({ of }) => to.calls.Relu(sum(of)),
    Step: ({ of }) => to.calls.Step(sum(of)),
    Detach: ({ of }) => to.calls.Detach(sum(of)),
    Min: ({ left, right }) => to.choice("Min", sum(left), sum(right)),
    Max: ({ left, right }) => to.choice("Max", sum(left), sum(right)),
    BatchMean: ({ of }) => to.calls.BatchMean(sum(of)),
    BatchSort: ({ of }) => to.calls.BatchSort(sum(of)),
    BatchUnsort: ({ of }) => to.calls.BatchUnsort(sum(of)),
    State: ({ name, of }) => to.state(name, sum(of))
  })
  /** Names of more than one word are bracketed before they are raised; calls and symbols are not. */
  const raise = (printed: string, power: number, words: boolean): string =>
    Math.abs(power) === 1 ? printed : to.power(words ? to.brackets(printed) : printed, Math.abs(power))
  const raised = ({ base, power }: Factor): string =>
    raise(atom(base) ?? to.brackets(sum(base)), power, base._tag === "Sum" || base._tag === "LogProb")
  /** A sum over tokens divided by their number is a mean, and printed as one. */
  const means = (factors: ReadonlyArray<Factor>): readonly [ReadonlyArray<string>, ReadonlyArray<Factor>] => {
    for (const factor of factors) {
      const known = factor.base._tag === "Sum" && factor.power > 0 ? named(factor.base.of) : undefined
      const length = factors.find(({ base, power }) =>
        base._tag === "Length" && power === -factor.power && base.side === known?.[1]
      )
      if (known === undefined || length === undefined) continue
      const [found, rest] = means(factors.filter((other) => other !== factor && other !== length))
      return [[raise(to.answer(known[0], sides[known[1]], "mean"), factor.power, true), ...found], rest]
    }
    return [[], factors]
  }
  const product = (coefficient: number, factors: ReadonlyArray<Factor>): string => {
    const [mean, rest] = means(factors)
    const above = [...rest.filter(({ power }) => power > 0).map(raised), ...mean]
    const below = rest.filter(({ power }) => power < 0).map(raised)
    const top = (coefficient === 1 && above.length > 0 ? above : [to.number(coefficient), ...above]).join(" ")
    return below.length === 0 ? top : to.fraction(top, below.join(" "), below.length === 1)
  }
  const sum = (node: Node): string =>
    readable(parse(node)).map(({ coefficient, factors }, i) => {
      const sign = coefficient < 0 ? (i === 0 ? "-" : " - ") : i === 0 ? "" : " + "
      return sign + product(Math.abs(coefficient), factors)
    }).join("") || "0"
  return (node) => sum(simplify(node))
}

/** `-log σ(β (log-ratio_w - log-ratio_l))` */
export const toText: (node: Node) => string = printer(text)
export const toLatex: (node: Node) => string = printer(latex)
