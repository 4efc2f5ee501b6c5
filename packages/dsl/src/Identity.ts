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

const number = (value: number, path: string): string => {
  if (!Number.isFinite(value)) throw new NotCanonical(path, `is ${value}`)
  if (Object.is(value, -0)) throw new NotCanonical(path, "is -0")
  return JSON.stringify(value)
}

/** JSON with sorted keys. Throws `NotCanonical`, naming the path, for anything that JSON would change. */
export const canonical = (value: unknown, path = ""): string => {
  if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value)
  if (typeof value === "number") return number(value, path)
  if (Array.isArray(value)) return `[${value.map((item, i) => canonical(item, `${path}[${i}]`)).join(",")}]`
  if (typeof value === "object") {
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) {
      throw new NotCanonical(path, `is an instance of ${value.constructor?.name ?? "a class"}`)
    }
    const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    const at = (key: string): string => (path === "" ? key : `${path}.${key}`)
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item, at(key))}`).join(",")}}`
  }
  throw new NotCanonical(path, `is ${value === undefined ? "undefined" : `a ${typeof value}`}`)
}

/** sha256 in hex. */
export const sha256 = (bytes: string | Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** The digest of plain data. */
export const digest = (value: unknown): string => sha256(canonical(value))

/** A seed for one named stream, such as `train/order/epoch-0`: no global state, so nothing upstream can move it. 32 bits. */
export const seed = (root: number, path: string): number => Number.parseInt(sha256(`${root}/${path}`).slice(0, 8), 16)
