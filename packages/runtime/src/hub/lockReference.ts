// What a reference is now: its commit and the hashes of its files. Large files are known by their sha256 from the listing;
// small ones are fetched to be hashed, and are then in the cache.
import { BadFile, HubError } from "@penchant/dsl/Errors"
import { parseReference, type Reference } from "@penchant/dsl/Reference"
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import { cardName, configsOf } from "./card.ts"
import { isGit } from "./digests.ts"
import { fetchFiles } from "./fetchFiles.ts"
import type { Hub } from "./Hub.ts"
import type { LockedFile } from "./LockFile.ts"
import { listFiles, type RemoteFile, resolveCommit } from "./repository.ts"
import { selectFiles } from "./select.ts"

/** Bytes of a README; they are read whole. */
const longest = 16 * 2 ** 20

/** The configs of a data set whose files are not chosen by folder or pattern. */
const configs = Effect.fnUntraced(function*(
  hub: Hub,
  { dir, files, repo }: Reference,
  commit: string,
  all: ReadonlyArray<RemoteFile>
) {
  const card = all.find(({ path }) => path === cardName)
  if (repo.startsWith("models/") || dir !== undefined || files !== undefined || card === undefined) return undefined
  if (card.size > longest) {
    return yield* new HubError({
      repo,
      reason: "selection",
      problem: `${cardName} has ${card.size} bytes, too many to look for configs in`,
      remedy: "choose with `files: \"data/*.parquet\"`"
    })
  }
  const [fetched] = yield* fetchFiles(hub, repo, commit, [card])
  const { at } = fetched!
  const text = yield* Effect.tryPromise({
    try: () => fs.readFile(at, "utf8"),
    catch: (cause) => new BadFile({ file: at, problem: (cause as Error).message })
  })
  return yield* Effect.fromResult(configsOf(repo, text))
})

export const lockReference = Effect.fn("lockReference")(function*(hub: Hub, reference: string) {
  const parsed = parseReference(reference)
  const commit = yield* resolveCommit(hub, parsed.repo, parsed.revision)
  const all = yield* listFiles(hub, parsed.repo, commit)
  const files = yield* Effect.fromResult(selectFiles(all, parsed, yield* configs(hub, parsed, commit, all)))
  const small = yield* fetchFiles(hub, parsed.repo, commit, files.filter(({ oid }) => isGit(oid)))
  const hashes = new Map(small.map(({ path, sha256 }) => [path, sha256]))
  return files.map(({ oid, path: file, size }): LockedFile => {
    const sha256 = hashes.get(file)
    return sha256 === undefined
      ? { reference, commit, file, size, sha256: oid }
      : { reference, commit, file, size, sha256, git: oid }
  })
})
