// `penchant.lock` in the working directory: what every reference to the Hub was when it was locked. One line of JSON per
// file, sorted, so that two branches of a project merge. With it a plan is known offline and a run fetches exactly these bytes.
import { BadFile, HubError } from "@penchant/dsl/Errors"
import { digest } from "@penchant/dsl/Identity"
import { parseReference } from "@penchant/dsl/Reference"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Source } from "../experiment/sources.ts"
import { partOf, removeLeftovers } from "../platform/leftovers.ts"
import { isSafe } from "./cache.ts"

const hex = (digits: number) => Schema.String.check(Schema.isPattern(new RegExp(`^[0-9a-f]{${digits}}$`)))

/** A file of a reference. */
export const LockedFile = Schema.Struct({
  reference: Schema.String.check(Schema.isPattern(/^hf:\/\/(models|datasets)\/[^@?]+@[^?]+/)),
  commit: hex(40),
  file: Schema.String,
  size: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
  sha256: hex(64),
  /** Git's name of a small file, by which the cache knows it; large files are known by their sha256. */
  git: Schema.optionalKey(hex(40))
})
export type LockedFile = typeof LockedFile.Type

export const lockFileName = "penchant.lock"
const header = "{\"penchant.lock\":1}"

const Line = Schema.fromJsonString(LockedFile)
const decode = Schema.decodeUnknownResult(Line)

/** Every locked file, sorted; none where there is no lock. `pipeline`: the file to lock anew, for messages. */
export const readLock = (
  directory: string,
  pipeline = "FILE"
): Result.Result<ReadonlyArray<LockedFile>, BadFile> => {
  const remedy = `restore it from version control, or delete it and run \`penchant lock ${pipeline}\``
  const at = path.join(directory, lockFileName)
  let text: string
  try {
    text = fs.readFileSync(at, "utf8")
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return Result.succeed([])
    return Result.fail(new BadFile({ file: at, problem: (cause as Error).message }))
  }
  const [first, ...lines] = text.split("\n")
  if (first !== header) return Result.fail(new BadFile({ file: at, problem: `does not begin with ${header}`, remedy }))
  const files: Array<LockedFile> = []
  for (const [index, line] of lines.entries()) {
    if (line === "") continue
    const read = decode(line)
    if (Result.isSuccess(read) && isSafe(read.success.file)) files.push(read.success)
    else {
      const problem = Result.isFailure(read) ? read.failure.message : "names a file outside its repository"
      return Result.fail(new BadFile({ file: at, problem: `line ${index + 2}: ${problem}`, remedy }))
    }
  }
  return Result.succeed(files)
}

const order = (a: LockedFile, b: LockedFile): number =>
  a.reference === b.reference ? (a.file < b.file ? -1 : 1) : a.reference < b.reference ? -1 : 1

/** Puts the files of some references in the place of what was locked for them. */
export const writeLock = (
  directory: string,
  references: ReadonlyArray<string>,
  files: ReadonlyArray<LockedFile>,
  pipeline?: string
): Result.Result<void, BadFile> =>
  Result.flatMap(readLock(directory, pipeline), (before) => {
    const kept = before.filter(({ reference }) => !references.includes(reference))
    const lines = [...kept, ...files].toSorted(order).map(({ commit, file, git, reference, sha256, size }) =>
      JSON.stringify({ reference, commit, file, size, sha256, git })
    )
    const at = path.join(directory, lockFileName)
    const beside = partOf(at)
    try {
      removeLeftovers(at)
      fs.writeFileSync(beside, `${[header, ...lines].join("\n")}\n`)
      fs.renameSync(beside, at)
    } catch (cause) {
      return Result.fail(new BadFile({ file: at, problem: `cannot be written: ${(cause as Error).message}` }))
    }
    return Result.succeed(undefined)
  })

/** The files of a reference, all of one commit; or which command locks it. */
export const lockedFiles = (
  directory: string,
  reference: string,
  pipeline = "FILE"
): Result.Result<ReadonlyArray<LockedFile>, BadFile | HubError> =>
  Result.flatMap(readLock(directory, pipeline), (all): Result.Result<ReadonlyArray<LockedFile>, BadFile | HubError> => {
    const files = all.filter((file) => file.reference === reference)
    const { repo } = parseReference(reference)
    if (files.length === 0) {
      return Result.fail(
        new HubError({
          repo,
          reason: "notLocked",
          problem: `${reference} is not in ${lockFileName}`,
          remedy: `run \`penchant lock ${pipeline}\`, or \`penchant run ${pipeline} --lock\``
        })
      )
    }
    if (new Set(files.map(({ commit }) => commit)).size > 1) {
      return Result.fail(
        new BadFile({
          file: path.join(directory, lockFileName),
          problem: `has several commits for ${reference}, as after a merge`,
          remedy: `run \`penchant lock ${pipeline}\``
        })
      )
    }
    return Result.succeed(files)
  })

/** What a reference is, for keys: the content of its files, not where they are from. */
export const lockedSource = (
  directory: string,
  reference: string,
  pipeline?: string
): Result.Result<Source, BadFile | HubError> =>
  Result.map(lockedFiles(directory, reference, pipeline), (locked) => {
    const files = Object.fromEntries(locked.map(({ file, sha256 }) => [file, sha256]))
    return { path: reference, files, skipped: [], digest: digest(files) }
  })
