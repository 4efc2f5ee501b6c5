// Where a text stops being JSON. `JSON.parse` says so for some mistakes only; this runs after it has failed.

export interface JsonFault {
  /** UTF-16 offset of the first character that cannot be there; the text's length when it ends too early. */
  readonly at: number
  /** Index of the element of the outermost array that holds the fault; 0 when the text is no array. */
  readonly element: number
  readonly problem: string
}

/** A key of an object is a string that must be followed by a colon. */
type Expected = "value" | "value or ]" | "key" | "key or }" | "colon" | "comma or end"

const blank = /[ \t\n\r]*/y
const word = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
/** What a word may begin with: the fault is the first character after it. */
const begun = /t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?|-?(?:0|[1-9]\d*)?(?:(?<=\d)\.\d*)?(?:(?<=\d)[eE][+-]?\d*)?/y
const after = (pattern: RegExp, text: string, at: number): number => {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : at
}

/** Offset after the string that starts at `at`, or minus the offset of what is wrong in it. */
const stringEnd = (text: string, at: number): number => {
  for (let i = at + 1; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x22) return i + 1
    if (code < 0x20) return -i
    if (code !== 0x5c) continue
    i += 1
    if (text[i] === "u") {
      for (let digit = 0; digit < 4; digit++) if (!/[0-9a-fA-F]/.test(text[++i] ?? "")) return -i
    } else if (!`"\\/bfnrt`.includes(text[i] ?? " ")) return -i
  }
  return -text.length
}

/** The first fault of a text that `JSON.parse` refuses. An explicit stack: malformed text may nest without bound. */
export const jsonFault = (text: string): JsonFault => {
  const open: Array<"[" | "{"> = []
  let expected: Expected = "value"
  let element = 0
  let at = 0
  const fault = (where: number): JsonFault => ({
    at: Math.min(where, text.length),
    element,
    problem: where >= text.length
      ? "the text ends too early"
      : `unexpected ${JSON.stringify(String.fromCodePoint(text.codePointAt(where)!))}`
  })
  while (true) {
    at = after(blank, text, at)
    const character = text[at]
    const now: string = expected
    const inside = open.at(-1)
    if (character === undefined || (now === "comma or end" && inside === undefined)) return fault(at)
    const closing = now === "comma or end" || now.includes(character)
    if (closing && ((character === "]" && inside === "[") || (character === "}" && inside === "{"))) {
      open.pop()
      at += 1
      expected = "comma or end"
    } else if (now === "colon" || now === "comma or end") {
      if (character !== (now === "colon" ? ":" : ",")) return fault(at)
      if (now !== "colon" && open.length === 1 && inside === "[") element += 1
      at += 1
      expected = now === "colon" || inside === "[" ? "value" : "key"
    } else if (character === `"`) {
      const end = stringEnd(text, at)
      if (end < 0) return fault(-end)
      at = end
      expected = now.startsWith("key") ? "colon" : "comma or end"
    } else if (now.startsWith("key")) {
      return fault(at)
    } else if (character === "[" || character === "{") {
      open.push(character)
      at += 1
      expected = character === "[" ? "value or ]" : "key or }"
    } else {
      const end = after(word, text, at)
      const reached = after(begun, text, at)
      if (end === at || reached > end) return fault(reached)
      at = end
      expected = "comma or end"
    }
  }
}
