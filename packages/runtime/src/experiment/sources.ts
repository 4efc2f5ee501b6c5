// Files and folders outside the store: their content is identity, their path is not.
// So it is for references to the Hub, whose content is what `penchant.lock` says.
import { BadFile, type HubError, type StoreError } from "@penchant/dsl/Errors"
import { digest } from "@penchant/dsl/Identity"
import { isReference } from "@penchant/dsl/Reference"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as fs from "node:fs"
import * as path from "node:path"
import { lockedSource } from "../hub/LockFile.ts"
import { pipelineShown } from "../platform/PipelineFile.ts"
import { problemOf } from "../platform/problems.ts"
import { hashFile, stampOf } from "./content.ts"
import type { Ledger } from "./Ledger.ts"

export interface Source {
  readonly path: string
  /** Name -> sha256, names relative to the folder; one entry, ".", for a single file. */
  readonly files: Readonly<Record<string, string>>
  /** In the folder but not identity: hidden files, and documentation by name. */
  readonly skipped: ReadonlyArray<string>
  readonly digest: string
}

/** A README commit must not retrain a model; weights, configuration and anything unknown must. */
const documentation = /^(readme|license|licence|notice|changelog|citation)(\.[a-z]+)?$|\.md$/i
const notContent = (name: string): boolean => name.startsWith(".") || documentation.test(name)

const remedies: Readonly<Record<string, string>> = {
  ENOENT: "no such file; paths are relative to the working directory",
  EACCES: "this user may not read it",
  ELOOP: "its symbolic links go in circles"
}

const badFile = (at: string, cause: unknown): BadFile => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : ""
  const problem = problemOf(cause, at)
  if (remedies[code] === undefined && problem === undefined) throw cause
  const file = problem?.path ?? at
  return new BadFile({ file, problem: remedies[code] ?? problem!.problem })
}

interface Listing {
  readonly path: string
  readonly files: ReadonlyArray<{ readonly name: string; readonly path: string }>
  readonly skipped: ReadonlyArray<string>
}

/** Symbolic links are followed: Hub caches are made of them. */
const list = (at: string): Listing => {
  if (fs.statSync(at).isFile()) return { path: at, files: [{ name: ".", path: at }], skipped: [] }
  const files: Array<{ readonly name: string; readonly path: string }> = []
  const skipped: Array<string> = []
  const visit = (folder: string): void => {
    for (const entry of fs.readdirSync(path.join(at, folder)).toSorted()) {
      const name = folder === "" ? entry : `${folder}/${entry}`
      const full = path.join(at, name)
      if (notContent(entry)) skipped.push(name)
      else if (fs.statSync(full).isDirectory()) visit(name)
      else files.push({ name, path: full })
    }
  }
  visit("")
  return { path: at, files, skipped }
}

const remembered = "SELECT stamp, sha256 FROM sourceFile WHERE path = ?"
const remember = "INSERT OR REPLACE INTO sourceFile (path, stamp, sha256) VALUES (?, ?, ?)"

/** sha256 of each file, from the ledger where its stamp is unchanged. What is learnt is written back if that is possible. */
export const hashFiles = Effect.fnUntraced(
  function*(
    ledger: Ledger["Service"],
    paths: ReadonlyArray<string>
  ): Effect.fn.Return<ReadonlyMap<string, Result.Result<string, BadFile>>, StoreError> {
    const known = yield* ledger.read((rows) =>
      new Map(paths.map((at) => [at, rows.get<{ readonly stamp: string; readonly sha256: string }>(remembered, at)]))
    )
    const learnt: Array<readonly [string, string, string]> = []
    const one = Effect.fnUntraced(function*(at: string) {
      const found = yield* Effect.result(Effect.try({ try: () => stampOf(at), catch: (cause) => badFile(at, cause) }))
      if (Result.isFailure(found)) return Result.fail(found.failure)
      if (found.success === undefined) {
        return Result.fail(
          new BadFile({ file: at, problem: fs.existsSync(at) ? "is no regular file" : remedies["ENOENT"]! })
        )
      }
      const { bytes, stamp, young } = found.success
      const row = known.get(at)
      if (row?.stamp === stamp) return Result.succeed(row.sha256)
      const hashed = yield* Effect.result(
        Effect.tryPromise({ try: () => hashFile(at, bytes), catch: (cause) => badFile(at, cause) })
      )
      if (Result.isSuccess(hashed) && !young) learnt.push([at, stamp, hashed.success])
      return hashed
    })
    const digests = new Map<string, Result.Result<string, BadFile>>()
    for (const at of paths) digests.set(at, yield* one(at))
    if (learnt.length > 0) {
      // A cache: where it cannot be written the files are hashed again next time.
      yield* Effect.ignore(ledger.write((rows) => {
        for (const row of learnt) rows.run(remember, ...row)
      }, "noted"))
    }
    return digests
  }
)

export type SourceResult = Result.Result<Source, BadFile | HubError>

/** A source as it is looked up: an absolute path, or a reference as it is. */
export const placeOf = (directory: string, source: string): string =>
  isReference(source) ? source : path.resolve(directory, source)

/** What each place holds now, or why it cannot be read. References are looked up in the working directory's lock. */
export const readSources = Effect.fnUntraced(
  function*(
    ledger: Ledger["Service"],
    places: ReadonlyArray<string>
  ): Effect.fn.Return<ReadonlyMap<string, SourceResult>, StoreError> {
    const paths = places.filter((at) => !isReference(at))
    const listings = yield* Effect.forEach(
      paths,
      (at) => Effect.result(Effect.try({ try: () => list(at), catch: (cause) => badFile(at, cause) }))
    )
    const all = listings.flatMap((listing) =>
      Result.isSuccess(listing) ? listing.success.files.map((file) => file.path) : []
    )
    const digests = yield* hashFiles(ledger, [...new Set(all)])
    const sourceOf = ({ files: listed, path: at, skipped }: Listing): Result.Result<Source, BadFile> => {
      const files: Record<string, string> = {}
      for (const file of listed) {
        const found = digests.get(file.path)!
        if (Result.isFailure(found)) return Result.fail(found.failure)
        files[file.name] = found.success
      }
      return Result.succeed({ path: at, files, skipped, digest: digest(files) })
    }
    const sources = new Map<string, SourceResult>()
    for (const [i, listing] of listings.entries()) sources.set(paths[i]!, Result.flatMap(listing, sourceOf))
    const pipeline = yield* pipelineShown
    for (const at of places.filter(isReference)) sources.set(at, lockedSource(process.cwd(), at, pipeline))
    return sources
  }
)
