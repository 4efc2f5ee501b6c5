// The argument lists of libtorch's operators, read from the installed torch (native_functions.yaml), since they change
// between its versions: `_flash_attention_forward` gained two arguments in 2.13.

export interface Type {
  /** "Tensor", "int", "float", ... */
  readonly base: string
  readonly optional: boolean
  /** What a list holds. */
  readonly items: Type | undefined
}

export interface Parameter {
  readonly name: string
  readonly type: Type
  /** As written in the schema; strings still carry their quotes. */
  readonly fallback: string | undefined
}

export interface Schema {
  /** Without the overload. */
  readonly operator: string
  readonly overload: string
  readonly parameters: ReadonlyArray<Parameter>
  readonly results: ReadonlyArray<Type>
}

/** From the bracket at `from` to its partner, cut at commas outside of inner brackets; and what follows. */
const inBrackets = (text: string, from: number): { readonly parts: ReadonlyArray<string>; readonly rest: string } => {
  const parts: Array<string> = []
  let depth = 0
  let start = from + 1
  for (let i = from; i < text.length; i++) {
    const at = text[i]
    if (at === "(" || at === "[") depth++
    if (at === ")" || at === "]") depth--
    if (depth === 0 || (depth === 1 && at === ",")) {
      parts.push(text.slice(start, i).trim())
      start = i + 1
    }
    if (depth === 0) return { parts: parts.filter((part) => part !== ""), rest: text.slice(i + 1) }
  }
  throw new Error(`brackets do not close: ${text}`)
}

const typeOf = (text: string): Type => {
  // alias annotations, as in Tensor(a!), say nothing about the encoding
  const plain = text.replace(/\([a-z!> |*-]*\)/g, "")
  const optional = plain.endsWith("?")
  const base = optional ? plain.slice(0, -1) : plain
  const list = /^(.*)\[\d*\]$/.exec(base)
  return { base, optional, items: list === null ? undefined : typeOf(list[1]!) }
}

const parameterOf = (text: string): Parameter => {
  const found = /^(.*?) (\w+)(?:=(.*))?$/.exec(text)
  if (found === null) throw new Error(`not a parameter: ${text}`)
  return { type: typeOf(found[1]!), name: found[2]!, fallback: found[3] }
}

/** One line of a schema: "mm.out(Tensor self, Tensor mat2, *, Tensor(a!) out) -> Tensor(a!)". */
export const parseSchema = (line: string): Schema => {
  const bracket = line.indexOf("(")
  const [operator = "", overload = ""] = line.slice(0, bracket).split(".")
  const { parts, rest } = inBrackets(line, bracket)
  const result = rest.replace(/^\s*->\s*/, "").trim()
  const results = result === "()" ? [] : result.startsWith("(") ? inBrackets(result, 0).parts : [result]
  return {
    operator,
    overload,
    parameters: parts.filter((part) => part !== "*").map(parameterOf),
    results: results.map((each) => typeOf(each.replace(/ \w+$/, "")))
  }
}

/** Finds schemas by "operator.overload" in the text of native_functions.yaml. */
export const schemasIn = (yaml: string): (name: string) => Schema | undefined => {
  const lines = new Map<string, string>()
  for (const [, line, name] of yaml.matchAll(/^- func: (([\w.]+)\(.+)$/gm)) lines.set(name!, line!)
  return (name) => {
    const line = lines.get(name)
    return line === undefined ? undefined : parseSchema(line)
  }
}
