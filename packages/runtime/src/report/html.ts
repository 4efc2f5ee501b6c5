// HTML as a value of its own: a template escapes everything put into it that is not HTML already.

export interface Html {
  readonly _html: true
  readonly text: string
}

type Content = Html | string | number | undefined | false | ReadonlyArray<Content>

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "'": "&#39;"
}
export const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => entities[character]!)

/** Text that is HTML already: only for what this module's callers wrote or serialised themselves. */
export const trusted = (text: string): Html => ({ _html: true, text })

const isHtml = (content: Html | ReadonlyArray<Content>): content is Html => "_html" in content

const flatten = (content: Content): string => {
  if (content === undefined || content === false) return ""
  if (typeof content === "number") return String(content)
  if (typeof content === "string") return escape(content)
  return isHtml(content) ? content.text : content.map(flatten).join("")
}

export const html = (strings: TemplateStringsArray, ...contents: ReadonlyArray<Content>): Html =>
  trusted(strings.map((text, i) => (i === 0 ? text : flatten(contents[i - 1]) + text)).join(""))
