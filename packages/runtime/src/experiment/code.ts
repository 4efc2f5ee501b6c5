// The code part of every key: what penchant's own packages are, file by file, and the modules that users bring.
// Later the tree-shaken closure of each implementation (esbuild) takes the place of both: `packagesCode` becomes one digest
// per kind, `moduleCode` the bundle of one export. Reports, the command line and progress decide no result and are left out.
import { StoreError } from "@penchant/dsl/Errors"
import { digest } from "@penchant/dsl/Identity"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { Ledger } from "./Ledger.ts"
import { hashFiles } from "./sources.ts"

export interface Code {
  readonly digest: string
  /** Name -> sha256, names such as `runtime/src/training/train.ts`. */
  readonly files: Readonly<Record<string, string>>
}

/** A folder of sources under the name it has in keys. */
export interface Root {
  readonly name: string
  readonly directory: string
  readonly exclude?: ReadonlyArray<string>
}

export interface CodeFiles {
  readonly roots: ReadonlyArray<Root>
  /** Further files by name: the lockfile, or the packages' manifests. */
  readonly files: Readonly<Record<string, string>>
}

const isCode = (name: string): boolean => !/\.d\.[cm]?ts$|\.map$|\.tsbuildinfo$|^\./.test(name)

const walk = ({ directory, exclude = [], name }: Root): ReadonlyArray<readonly [string, string]> => {
  const found: Array<readonly [string, string]> = []
  const visit = (folder: string): void => {
    for (const entry of fs.readdirSync(path.join(directory, folder), { withFileTypes: true })) {
      const at = folder === "" ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory()) {
        if (!exclude.includes(at)) visit(at)
      } else if (isCode(entry.name)) found.push([`${name}/${at}`, path.join(directory, at)])
    }
  }
  visit("")
  return found
}

/** The nearest file or folder of that name, in `from` or above it. */
export const above = (from: string, name: string): string | undefined => {
  for (let at = from;; at = path.dirname(at)) {
    const candidate = path.join(at, name)
    if (fs.existsSync(candidate)) return candidate
    if (at === path.dirname(at)) return undefined
  }
}

/** This installation: sources and lockfile in a checkout, built files and manifests where it was installed from a registry. */
export const installation = (): CodeFiles => {
  const resolve = createRequire(import.meta.url).resolve
  const folder = import.meta.url.endsWith(".ts") ? "src" : "dist"
  const manifests = {
    dsl: above(path.dirname(resolve("@penchant/dsl/Step")), "package.json")!,
    objectives: above(path.dirname(resolve("@penchant/objectives/sft")), "package.json")!,
    runtime: above(path.dirname(fileURLToPath(import.meta.url)), "package.json")!
  }
  const lock = folder === "src" ? above(path.dirname(manifests.runtime), "pnpm-lock.yaml") : undefined
  return {
    roots: Object.entries(manifests).map(([name, manifest]) => ({
      name: `${name}/${folder}`,
      directory: path.join(path.dirname(manifest), folder),
      // What the Hub sends has the hashes that the lock says, or is not used.
      exclude: name === "runtime" ? ["report", "cli", "platform", "hub"] : []
    })),
    files: lock === undefined
      ? Object.fromEntries(Object.entries(manifests).map(([name, at]) => [`${name}/package.json`, at]))
      : { "pnpm-lock.yaml": lock }
  }
}

const codeOf = Effect.fnUntraced(
  function*(
    ledger: Ledger["Service"],
    named: ReadonlyArray<readonly [string, string]>
  ): Effect.fn.Return<Code, StoreError> {
    const hashed = yield* hashFiles(ledger, named.map(([, at]) => at))
    const files: Record<string, string> = {}
    for (const [name, at] of named.toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      const sha256 = hashed.get(at)!
      if (Result.isFailure(sha256)) return yield* new StoreError({ path: at, problem: sha256.failure.problem })
      files[name] = sha256.success
    }
    return { digest: digest(files), files }
  }
)

/** A few milliseconds when nothing changed: a listing, and a `stat` per file. */
export const packagesCode = (ledger: Ledger["Service"], { files, roots }: CodeFiles): Effect.Effect<Code, StoreError> =>
  Effect.suspend(() => codeOf(ledger, [...roots.flatMap(walk), ...Object.entries(files)]))

const imports = /(?:from|import)\s*\(?\s*["'](\.{1,2}\/[^"']+)["']/g

const locks = ["pnpm-lock.yaml", "package-lock.json", "yarn.lock", "bun.lock"]

/** A module and what it imports by relative path, named relative to its folder, and the lockfile that pins all else. */
export const moduleFiles = (url: string): ReadonlyArray<readonly [string, string]> => {
  const entry = fileURLToPath(url)
  const seen = new Set<string>()
  const visit = (at: string): void => {
    if (seen.has(at) || !fs.statSync(at, { throwIfNoEntry: false })?.isFile()) return
    seen.add(at)
    for (const [, specifier] of fs.readFileSync(at, "utf8").matchAll(imports)) {
      visit(path.resolve(path.dirname(at), specifier!))
    }
  }
  visit(entry)
  const folder = path.dirname(entry)
  const lock = locks.map((name) => above(folder, name)).find((at) => at !== undefined)
  return [
    ...[...seen].map((at) => [path.relative(folder, at).replaceAll(path.sep, "/"), at] as const),
    ...(lock === undefined ? [] : [[path.basename(lock), lock] as const])
  ]
}

/** The code that a step of the user's own can reach. A module without a file (a `data:` url) is its url. */
export const moduleCode = (ledger: Ledger["Service"], url: string): Effect.Effect<Code, StoreError> =>
  url.startsWith("file:")
    ? Effect.suspend(() => codeOf(ledger, moduleFiles(url)))
    : Effect.succeed({ digest: digest(url), files: { [url]: digest(url) } })
