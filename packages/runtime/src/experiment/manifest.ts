// An artifact as data: the canonical JSON of its manifest, whose sha256 is the artifact's digest.
import { StoreError } from "@penchant/dsl/Errors"
import { canonical, NotCanonical, sha256 } from "@penchant/dsl/Identity"
import * as Result from "effect/Result"

export interface StoredFile {
  /** Relative, with `/`. */
  readonly name: string
  readonly bytes: number
  readonly sha256: string
}

export interface Manifest {
  readonly kind: string
  readonly version: 1
  readonly meta: object
  readonly files: ReadonlyArray<StoredFile>
}

/** Why a name cannot be that of a file in an artifact; undefined when it can. */
export const nameProblem = (name: string): string | undefined => {
  if (name === "" || name.includes("\0") || name.includes("\\")) return "is empty or holds a NUL or a backslash"
  if (name.startsWith("/") || /^[A-Za-z]:/.test(name)) return "is absolute"
  const parts = name.split("/")
  if (parts.some((part) => part === "" || part === "." || part === "..")) return "leaves its folder"
  return parts.some((part) => Buffer.byteLength(part) > 255) ? "is too long" : undefined
}

/** A name that is also the folder of another could not be written out. */
const clash = (names: ReadonlyArray<string>): string | undefined => {
  const all = new Set(names)
  return names.find((name) => name.split("/").some((_, i, parts) => i > 0 && all.has(parts.slice(0, i).join("/"))))
}

/** Every file name is usable, or the first that is not. */
export const checkNames = (names: ReadonlyArray<string>): StoreError | undefined => {
  for (const name of names) {
    const problem = nameProblem(name)
    if (problem !== undefined) {
      return new StoreError({ path: JSON.stringify(name), problem: `the name of a result's file ${problem}` })
    }
  }
  const clashing = clash(names)
  return clashing === undefined
    ? undefined
    : new StoreError({ path: clashing, problem: "is in a folder that is also a file of the same result" })
}

/** A difference of two equal numbers may be -0, which means the same to everybody; JSON has no -0. */
const positiveZero = (value: unknown): unknown => {
  if (typeof value === "number") return value === 0 ? 0 : value
  if (Array.isArray(value)) return value.map(positiveZero)
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, positiveZero(item)]))
}

/** Canonical text and digest. A `meta` that is no plain JSON (NaN, undefined, a Date) is refused with its path. */
export const encode = (
  kind: string,
  meta: object,
  files: ReadonlyArray<StoredFile>
): Result.Result<{ readonly manifest: Manifest; readonly text: string; readonly digest: string }, StoreError> => {
  const manifest: Manifest = {
    kind,
    version: 1,
    meta: positiveZero(meta) as object,
    files: files.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }
  try {
    const text = canonical(manifest)
    return Result.succeed({ manifest: JSON.parse(text) as Manifest, text, digest: sha256(text) })
  } catch (cause) {
    if (!(cause instanceof NotCanonical)) throw cause
    return Result.fail(
      new StoreError({ path: `result of kind ${kind}`, problem: `${cause.message}, so it cannot be stored` })
    )
  }
}

/** The text was written by `encode`: its digest says so. */
export const decode = (text: string): Manifest => JSON.parse(text) as Manifest
