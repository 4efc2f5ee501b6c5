// Why a step is not taken from the store: the difference between what it is now and what it was when it last succeeded
// under the same label. Every miss has at least one reason, and every reason names what changed.
import { match } from "ts-pattern"
import type { InputPart, Own } from "./keys.ts"

export type Why =
  | { readonly _tag: "NeverRan" }
  | { readonly _tag: "OutputGone"; readonly path: string; readonly problem: string }
  | { readonly _tag: "CodeChanged"; readonly files: ReadonlyArray<string> }
  | { readonly _tag: "ParameterChanged"; readonly path: string; readonly from: unknown; readonly to: unknown }
  /** `via`: the label of the step that the input now comes from. */
  | {
    readonly _tag: "InputChanged"
    readonly input: string
    readonly via: string
    readonly how: "other" | "added" | "removed"
  }
  | { readonly _tag: "SourceChanged"; readonly file: string }
  | { readonly _tag: "EnvChanged"; readonly what: string; readonly from: unknown; readonly to: unknown }

const shown = (value: unknown): string => {
  const text = value === undefined ? "absent" : JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

const listed = (names: ReadonlyArray<string>): string =>
  names.length <= 3 ? names.join(", ") : `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`

/** One sentence for people, without a full stop. */
export const sentence = (why: Why): string =>
  match(why)
    .with({ _tag: "NeverRan" }, () => "never ran")
    .with({ _tag: "OutputGone" }, ({ path, problem }) => `its result is gone: ${path} ${problem}`)
    .with({ _tag: "CodeChanged" }, ({ files }) => `code changed: ${listed(files)}`)
    .with({ _tag: "ParameterChanged" }, ({ from, path, to }) => `${path} changed from ${shown(from)} to ${shown(to)}`)
    .with({ _tag: "InputChanged", how: "added" }, ({ input, via }) => `input "${input}" is new: ${via}`)
    .with({ _tag: "InputChanged", how: "removed" }, ({ input, via }) => `input "${input}" is no longer there: ${via}`)
    .with({ _tag: "InputChanged" }, ({ input, via }) => `input "${input}" changed: ${via}`)
    .with({ _tag: "SourceChanged" }, ({ file }) => `${file} changed`)
    .with({ _tag: "EnvChanged" }, ({ from, to, what }) => `${what} changed from ${shown(from)} to ${shown(to)}`)
    .exhaustive()

interface Change {
  readonly path: string
  readonly from: unknown
  readonly to: unknown
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const tagOf = (value: Readonly<Record<string, unknown>>): unknown => value["_tag"] ?? value["kind"]

/** Leaves that differ. Another variant of a union, or a list of another length, is one difference, not many. */
const changes = (from: unknown, to: unknown, path: string): ReadonlyArray<Change> => {
  if (isRecord(from) && isRecord(to) && tagOf(from) === tagOf(to)) {
    const names = [...new Set([...Object.keys(from), ...Object.keys(to)])].toSorted()
    return names.flatMap((name) => changes(from[name], to[name], path === "" ? name : `${path}.${name}`))
  }
  if (Array.isArray(from) && Array.isArray(to) && from.length === to.length) {
    return from.flatMap((item, i) => changes(item, to[i], `${path}[${i}]`))
  }
  return Object.is(from, to) || JSON.stringify(from) === JSON.stringify(to) ? [] : [{ path, from, to }]
}

/** A formula that differs in twenty leaves is one change to a person: more than `most` become one per field of `from`. */
const rolledUp = (from: unknown, to: unknown, most: number): ReadonlyArray<Change> => {
  const all = changes(from, to, "")
  if (all.length <= most || !isRecord(from) || !isRecord(to)) return all
  return Object.keys({ ...from, ...to }).toSorted().flatMap((name) => {
    const below = changes(from[name], to[name], name)
    return below.length > most ? [{ path: name, from: from[name], to: to[name] }] : below
  })
}

const differing = (
  from: Readonly<Record<string, string>>,
  to: Readonly<Record<string, string>>
): ReadonlyArray<string> =>
  [...new Set([...Object.keys(from), ...Object.keys(to)])].filter((name) => from[name] !== to[name]).toSorted()

const sourceChanges = (from: Own["sources"], to: Own["sources"]): ReadonlyArray<Why> =>
  [...new Set([...Object.keys(from), ...Object.keys(to)])].toSorted().flatMap((name) => {
    const at = (to[name] ?? from[name])!.path
    return differing(from[name]?.files ?? {}, to[name]?.files ?? {})
      .map((file): Why => ({ _tag: "SourceChanged", file: file === "." ? at : `${at}/${file}` }))
  })

const fieldChanges = (from: Readonly<Record<string, unknown>> = {}, to: Readonly<Record<string, unknown>> = {}) =>
  changes(from, to, "").map(({ from, path, to }): Why => ({ _tag: "EnvChanged", what: path, from, to }))

type CodeFiles = Readonly<Record<string, string>>

/** What differs between two steps apart from their inputs; with the files of the code of either. */
export const ownDifference = (before: Own, now: Own, codeBefore: CodeFiles, codeNow: CodeFiles): ReadonlyArray<Why> => {
  const whys: Array<Why> = []
  if (before.format !== now.format) {
    whys.push({ _tag: "EnvChanged", what: "format of keys", from: before.format, to: now.format })
  }
  if (before.kind !== now.kind) {
    whys.push({ _tag: "ParameterChanged", path: "kind", from: before.kind, to: now.kind })
  }
  for (const change of rolledUp(before.parameters, now.parameters, 8)) {
    whys.push({ _tag: "ParameterChanged", ...change })
  }
  for (const change of changes(before.step ?? {}, now.step ?? {}, "step")) {
    whys.push({ _tag: "ParameterChanged", ...change })
  }
  whys.push(...sourceChanges(before.sources, now.sources))
  const code = before.code === now.code ? [] : differing(codeBefore, codeNow)
  const modules = differing(before.modules ?? {}, now.modules ?? {})
  if (before.code !== now.code || modules.length > 0) whys.push({ _tag: "CodeChanged", files: [...code, ...modules] })
  whys.push(...fieldChanges(before.numerics, now.numerics))
  return whys
}

/** An input as it is now; `digest` is undefined while the step it comes from has still to run. */
export interface InputNow {
  readonly label: string
  readonly digest: string | undefined
}

export const inputDifference = (
  before: Readonly<Record<string, InputPart>>,
  now: Readonly<Record<string, InputNow>>
): ReadonlyArray<Why> =>
  [...new Set([...Object.keys(before), ...Object.keys(now)])].toSorted().flatMap((input): ReadonlyArray<Why> => {
    const [was, is] = [before[input], now[input]]
    if (was === undefined) return [{ _tag: "InputChanged", input, via: is!.label, how: "added" }]
    if (is === undefined) return [{ _tag: "InputChanged", input, via: was.label, how: "removed" }]
    return was.digest === is.digest ? [] : [{ _tag: "InputChanged", input, via: is.label, how: "other" }]
  })
