// The value of a number written in LaTeX: signs, decimals, fractions, mixed numbers, roots, powers, products, sums, pi. Leaves out
// all else: with a letter in it, it is no number.

const token = /\s*(\d+(?:\.\d*)?|\.\d+|\\[a-z]+|\S)/gy

class NoNumber extends Error {}

const constants: Readonly<Record<string, number>> = { "\\pi": Math.PI }
const fractions = new Set(["\\frac", "\\dfrac", "\\tfrac"])

/** Undefined where the text is not a number from end to end. */
export const latexNumber = (text: string): number | undefined => {
  const tokens = [...text.replaceAll(/\\(?:left|right)|\\!/g, "").matchAll(token)].map(([, piece]) => piece!)
  let at = 0
  const take = (expected: string): void => {
    if (tokens[at++] !== expected) throw new NoNumber()
  }
  const between = (open: string, close: string): number => {
    take(open)
    const value = sum()
    take(close)
    return value
  }
  /** `2\frac{1}{2}` is two and a half. */
  const mixed = (whole: number): number => {
    const [frac, , over, , , under] = tokens.slice(at, at + 7)
    const proper = fractions.has(frac ?? "") && /^\d+$/.test(over ?? "") && /^\d+$/.test(under ?? "")
    if (!proper || !Number.isInteger(whole) || whole === 0 || Number(over) >= Number(under)) return whole
    at += 7
    return whole + Number(over) / Number(under)
  }
  const one = (): number => {
    const next = tokens[at] ?? ""
    if (next === "(") return between("(", ")")
    if (next === "{") return between("{", "}")
    at += 1
    if (/^[\d.]/.test(next)) return mixed(Number(next))
    if (fractions.has(next)) return between("{", "}") / between("{", "}")
    if (next === "\\sqrt") {
      const degree = tokens[at] === "[" ? between("[", "]") : 2
      return between("{", "}") ** (1 / degree)
    }
    const constant = constants[next]
    if (constant === undefined) throw new NoNumber()
    return constant
  }
  const power = (): number => {
    const value = one()
    if (tokens[at] !== "^") return value
    at += 1
    return value ** (tokens[at] === "-" ? signed() : one())
  }
  const signed = (): number => {
    if (tokens[at] !== "-" && tokens[at] !== "+") return power()
    const sign = tokens[at++] === "-" ? -1 : 1
    return sign * signed()
  }
  const product = (): number => {
    let value = signed()
    for (;;) {
      const next = tokens[at] ?? ""
      if (["*", "\\cdot", "\\times"].includes(next)) {
        at += 1
        value *= signed()
      } else if (next === "/") {
        at += 1
        value /= signed()
      } else if (/^[\d.({\\]/.test(next)) value *= power()
      else return value
    }
  }
  const sum = (): number => {
    let value = product()
    while (tokens[at] === "+" || tokens[at] === "-") value += tokens[at++] === "-" ? -product() : product()
    return value
  }
  try {
    const value = sum()
    return at === tokens.length && Number.isFinite(value) ? value : undefined
  } catch (cause) {
    if (cause instanceof NoNumber) return undefined
    throw cause
  }
}
