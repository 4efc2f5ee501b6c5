// Whether two answers written in LaTeX have one value: numbers, and what is made of numbers: tuples and intervals, sets and
// lists, unions, matrices, a plus-or-minus. Percent signs are read away, as MATH's own graders do, so that 50\% is 50. Leaves
// out algebra: with letters, answers are equal as text or not at all.
import { latexNumber } from "./latexNumber.ts"

const sameNumber = (a: string, b: string): boolean => {
  const [x, y] = [latexNumber(a), latexNumber(b)]
  return x !== undefined && y !== undefined && Math.abs(x - y) <= 1e-9 * Math.max(1, Math.abs(y))
}

const opening = new Set(["(", "[", "{"])
const closing = new Set([")", "]", "}"])

/** At `separator` outside of all brackets. */
const parts = (text: string, separator: string): ReadonlyArray<string> => {
  const found = [""]
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    if (opening.has(text[i]!)) depth += 1
    if (closing.has(text[i]!)) depth -= 1
    if (depth === 0 && text.startsWith(separator, i)) {
      found.push("")
      i += separator.length - 1
    } else found[found.length - 1] += text[i]!
  }
  return found
}

interface Compound {
  /** What must be the same of both: kind of brackets, shape. */
  readonly form: string
  readonly ordered: boolean
  readonly items: ReadonlyArray<string>
}

const compound = (text: string): Compound | undefined => {
  const matrix = /^\\begin\{[pb]?matrix\}(.*)\\end\{[pb]?matrix\}$/s.exec(text)
  if (matrix !== null) {
    const rows = matrix[1]!.replace(/\\\\$/, "").split("\\\\").map((row) => row.split("&"))
    return { form: `matrix ${rows.map(({ length }) => length).join()}`, ordered: true, items: rows.flat() }
  }
  for (const [form, separator] of [["union", "\\cup"], ["list", ","]] as const) {
    const items = parts(text, separator)
    if (items.length > 1) return { form, ordered: false, items }
  }
  const set = /^\\\{(.*)\\\}$/s.exec(text)
  // A list of one is its item, and a set is what it lists.
  if (set !== null) return { form: "list", ordered: false, items: parts(set[1]!, ",") }
  const [open, close, inside] = [text[0], text.at(-1), text.slice(1, -1)]
  if ((open === "(" || open === "[") && (close === ")" || close === "]")) {
    const items = parts(inside, ",")
    if (items.length > 1) return { form: `${open}${close}`, ordered: true, items }
  }
  return undefined
}

/** Each of `theirs` is taken once. */
const sameUnordered = (ours: ReadonlyArray<string>, theirs: ReadonlyArray<string>): boolean => {
  const left = [...theirs]
  return ours.every((item) => {
    const at = left.findIndex((other) => same(item, other))
    if (at >= 0) left.splice(at, 1)
    return at >= 0
  })
}

const same = (a: string, b: string): boolean => {
  if (a === b || sameNumber(a, b)) return true
  const [x, y] = [compound(a), compound(b)]
  if (x === undefined || y === undefined) return false
  if (x.form !== y.form || x.items.length !== y.items.length) return false
  return x.ordered ? x.items.every((item, i) => same(item, y.items[i]!)) : sameUnordered(x.items, y.items)
}

/** Spacing and percent signs away; a single plus-or-minus is the list of both. */
const plain = (text: string): string => {
  const bare = text.replaceAll(/\\(?:left|right)(?=[^a-z])|\\[!,;]|\\?%|\s/g, "")
  return bare.split("\\pm").length === 2 ? `${bare.replace("\\pm", "+")},${bare.replace("\\pm", "-")}` : bare
}

export const sameValue = (a: string, b: string): boolean => same(plain(a), plain(b))
