// Renders messages by a tokenizer's Jinja chat template. Deterministic: templates see no clock, so those that write
// today's date use their own fallback, and a cached result stays valid tomorrow.
// Strips characters as Python does: the library ignores the argument of `lstrip("\n")` and takes spaces off answers too.
import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja"
import type { Message } from "@penchant/dsl/Pair"
import * as Result from "effect/Result"

export interface ChatTemplate {
  /** The text of a conversation; with `generate`, up to where the assistant's next answer begins. Fails with a reason. */
  readonly render: (
    messages: ReadonlyArray<Message>,
    generate: boolean,
    tools?: ReadonlyArray<unknown>
  ) => Result.Result<string, string>
}

const message = (error: unknown): string => error instanceof Error ? error.message : String(error)

const range = (start: number, stop?: number, step = 1): ReadonlyArray<number> => {
  const [from, to] = stop === undefined ? [0, start] : [start, stop]
  return Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, index) => from + index * step)
}

/** `text` without what is in `characters` at its start, its end, or both, as Python's methods. */
const strip = (start: boolean, end: boolean) => (text: string, characters: string): string => {
  let [from, to] = [0, text.length]
  // A surrogate pair is one character.
  const first = () => String.fromCodePoint(text.codePointAt(from)!)
  const last = () => {
    const pair = to - from > 1 ? text.slice(to - 2, to) : ""
    return pair !== "" && pair.codePointAt(0)! > 0xffff ? pair : text[to - 1]!
  }
  if (start) { while (from < to && characters.includes(first())) from += first().length }
  if (end) { while (to > from && characters.includes(last())) to -= last().length }
  return text.slice(from, to)
}
const strips: Readonly<Record<string, (text: string, characters: string) => string>> = {
  strip: strip(true, true),
  lstrip: strip(true, false),
  rstrip: strip(false, true)
}
/** A name that no template can spell. */
const stripName = (method: string): string => `${method} characters`

interface Node {
  type?: unknown
  callee?: unknown
  args?: unknown
  property?: unknown
  object?: unknown
  value?: unknown
}
const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null

/** Turns `text.lstrip(characters)` into a call of our own function, everywhere in a program. */
const ownStrips = (node: unknown): void => {
  if (!isNode(node)) return
  for (const child of Object.values(node)) ownStrips(child)
  const { args, callee } = node
  if (node.type !== "CallExpression" || !Array.isArray(args) || args.length === 0) return
  if (!isNode(callee) || callee.type !== "MemberExpression" || !isNode(callee.property)) return
  const method = callee.property.value
  if (typeof method !== "string" || !Object.hasOwn(strips, method)) return
  node.callee = { type: "Identifier", value: stripName(method) }
  node.args = [callee.object, ...args]
}

/** What transformers gives a template besides the messages, but for the clock. */
const globals: Readonly<Record<string, unknown>> = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  range,
  raise_exception: (text: string): never => {
    throw new Error(text)
  },
  documents: null,
  ...Object.fromEntries(Object.entries(strips).map(([method, own]) => [stripName(method), own]))
}

/** Names that a program looks up. */
const namesIn = (node: unknown, names: Set<string>): ReadonlySet<string> => {
  if (isNode(node)) {
    if (node.type === "Identifier" && typeof node.value === "string") names.add(node.value)
    for (const child of Object.values(node)) namesIn(child, names)
  }
  return names
}

/** What every rendering begins with. A name that is nobody's is undefined here: the library throws and catches to find that out. */
const surroundings = (program: unknown, given: Readonly<Record<string, unknown>>): Environment => {
  const environment = new Environment()
  for (const [name, value] of Object.entries(given)) environment.set(name, value)
  for (const name of namesIn(program, new Set())) {
    if (!environment.variables.has(name)) environment.set(name, undefined)
  }
  return environment
}

/** Compiles a template once. `tokens` are its special tokens by name, such as `bos_token`. Fails with a reason. */
export const chatTemplate = (
  source: string,
  tokens: Readonly<Record<string, string>>
): Result.Result<ChatTemplate, string> =>
  Result.map(
    Result.try({
      try: () => {
        const program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }))
        ownStrips(program)
        return { program, around: surroundings(program, { ...globals, ...tokens }) }
      },
      catch: (error) => `the chat template cannot be parsed: ${message(error)}`
    }),
    ({ around, program }): ChatTemplate => ({
      render: (messages, generate, tools) =>
        Result.try({
          try: () => {
            const environment = new Environment(around)
            // Plain copies: the interpreter refuses objects it does not know.
            environment.set("messages", messages.map((message) => ({ ...message })))
            environment.set("tools", tools ?? null)
            environment.set("add_generation_prompt", generate)
            const rendered = new Interpreter(environment).run(program)
            if (rendered.type !== "StringValue") throw new Error(`gave a ${rendered.type}`)
            return String(rendered.value)
          },
          catch: (error) => `the chat template refuses the messages: ${message(error)}`
        })
    })
  )
