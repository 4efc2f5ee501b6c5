// Formulas as MathML, which browsers set without any script. Short: rho is a log-ratio, l a log-probability, a bar a mean
// per token; the page says so beside them.
import type { Node } from "@penchant/dsl/Node"
import { greek, type Notation, printer } from "@penchant/dsl/Print"
import { escape } from "./html.ts"

/** The signs that the printer writes between terms are the only + and - outside of these elements. */
const leaf = (tag: "mi" | "mn" | "mo" | "mtext") => (text: string): string =>
  `<${tag}>${escape(text).replaceAll("-", "&#8722;").replaceAll("+", "&#43;")}</${tag}>`
const [mi, mn, mo, words] = [leaf("mi"), leaf("mn"), leaf("mo"), leaf("mtext")]
const row = (inside: string): string => `<mrow>${inside}</mrow>`
const brackets = (inside: string): string => row(`${mo("(")}${row(inside)}${mo(")")}`)
/** A thin space keeps `log σ` apart: browsers put none between two names. */
const called = (...name: ReadonlyArray<string>) => (x: string): string =>
  row(`${name.map((word, i) => mi(i < name.length - 1 ? `${word}\u2009` : word)).join("")}${brackets(x)}`)

/** Text for a name that is not a single letter stands upright. */
const named = (name: string): string => (name.length === 1 || name in greek ? mi(greek[name] ?? name) : words(name))

const quantities = { ratio: "ρ", policy: "ℓ", reference: "ℓ" } as const

const notation: Notation = {
  number: (value) => {
    const below = 1 / value
    return Number.isInteger(below) && Math.abs(below) > 1 && below <= 100
      ? `<mfrac>${mn("1")}${mn(String(below))}</mfrac>`
      : mn(String(value))
  },
  name: named,
  answer: (of, side, over) => {
    const symbol = over === "mean" ? `<mover>${mi(quantities[of])}${mo("¯")}</mover>` : mi(quantities[of])
    const below = over === "token" ? row(`${mi(side)}${mo(",")}${mi("t")}`) : mi(side)
    return of === "reference"
      ? `<msubsup>${symbol}${below}${words("ref")}</msubsup>`
      : `<msub>${symbol}${below}</msub>`
  },
  length: (side) => `<msub>${mi("n")}${mi(side)}</msub>`,
  variable: mi("r"),
  brackets,
  calls: {
    Exp: called("exp"),
    Log: called("log"),
    LogSigmoid: called("log", "σ"),
    Softplus: called("softplus"),
    Sigmoid: called("σ"),
    Log1mExp: called("log1mexp"),
    Relu: called("relu"),
    Step: called("step"),
    Detach: called("detach"),
    Sum: (x) => row(`<munder>${mo("∑")}${mi("t")}</munder>${brackets(x)}`),
    BatchMean: called("mean"),
    BatchSort: called("sort"),
    BatchUnsort: called("unsort")
  },
  state: (_, x) => `<mover>${row(x)}${mo("¯")}</mover>`,
  choice: (which, a, b) => row(`${mi(which === "Min" ? "min" : "max")}${brackets(`${a}${mo(",")}${b}`)}`),
  power: (base, power) => `<msup>${row(base)}${mn(String(power))}</msup>`,
  fraction: (top, below) => `<mfrac>${row(top)}${row(below)}</mfrac>`
}

const print = printer(notation)

/** What goes inside `<math>`. */
export const toMathMl = (node: Node): string =>
  print(node)
    .replaceAll(/(^|>)\s*([-+])\s*(?=<)/g, (_, before: string, sign: string) => `${before}${mo(sign)}`)
    .replaceAll(/>\s+</g, "><")

/** Elements that `toMathMl` writes, none with an attribute: what a page may take over as it is. */
export const isMathMl = (text: string): boolean =>
  !/<(?!\/?(?:mi|mn|mo|mtext|mrow|mfrac|mover|munder|msub|msup|msubsup)>)/.test(text)
