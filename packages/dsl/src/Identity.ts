// Canonical encoding and digest: the only file that hashes. Two values have one digest when they are the same data.
// It refuses what JSON would lose in silence: NaN, infinities, -0, undefined, functions, Map, Set, Date, class instances.
import { createHash } from "node:crypto"

/** Thrown while a key is computed: a parameter that has no canonical form. */
export class NotCanonical extends Error {
  override readonly name = "NotCanonical"
  readonly path: string
  constructor(path: string, problem: string) {
    super(`${path === "" ? "the value" : path} ${problem}, which has no canonical form`)
    this.path = path
  }
}

/** Where an encoding is: keys and indices from the root. Spelt out only when something is refused. */
type Trail = Array<string | number>

const refuse = (trail: Trail, problem: string): never => {
  const path = trail.reduce<string>(
    (at, step) => (typeof step === "number" ? `${at}[${step}]` : at === "" ? step : `${at}.${step}`),
    ""
  )
  throw new NotCanonical(path, problem)
}

const number = (value: number, trail: Trail): string =>
  !Number.isFinite(value) ? refuse(trail, `is ${value}`) : Object.is(value, -0) ? refuse(trail, "is -0") : `${value}`

const list = (items: ReadonlyArray<unknown>, trail: Trail): string => {
  let text = ""
  for (let i = 0; i < items.length; i++) {
    trail.push(i)
    text += (i === 0 ? "[" : ",") + encode(items[i], trail)
    trail.pop()
  }
  return text === "" ? "[]" : `${text}]`
}

const record = (value: object, trail: Trail): string => {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    return refuse(trail, `is an instance of ${value.constructor?.name ?? "a class"}`)
  }
  let text = ""
  for (const key of Object.keys(value).toSorted()) {
    trail.push(key)
    text += `${text === "" ? "{" : ","}${JSON.stringify(key)}:${encode((value as Record<string, unknown>)[key], trail)}`
    trail.pop()
  }
  return text === "" ? "{}" : `${text}}`
}

// A study of ten thousand points encodes tens of megabytes: hence plain loops and no path until one is needed.
const encode = (value: unknown, trail: Trail): string => {
  if (typeof value === "string") return JSON.stringify(value)
  if (typeof value === "number") return number(value, trail)
  if (value === null || typeof value === "boolean") return `${value}`
  if (Array.isArray(value)) return list(value, trail)
  if (typeof value === "object") return record(value, trail)
  return refuse(trail, `is ${value === undefined ? "undefined" : `a ${typeof value}`}`)
}

/** JSON with sorted keys. Throws `NotCanonical`, naming the path, for anything that JSON would change. */
export const canonical = (value: unknown, path = ""): string => encode(value, path === "" ? [] : [path])

/** sha256 in hex. */
export const sha256 = (bytes: string | Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** The digest of plain data. */
export const digest = (value: unknown): string => sha256(canonical(value))

/** A seed for one named stream, such as `train/order/epoch-0`: no global state, so nothing upstream can move it. 32 bits. */
export const seed = (root: number, path: string): number => Number.parseInt(sha256(`${root}/${path}`).slice(0, 8), 16)
