// What a reference is now: its commit and the hashes of its files. Large files are known by their sha256 from the listing;
// small ones are fetched to be hashed, and are then in the cache.
import { parseReference } from "@penchant/dsl/Reference"
import * as Effect from "effect/Effect"
import { isGit } from "./digests.ts"
import { fetchFiles } from "./fetchFiles.ts"
import type { Hub } from "./Hub.ts"
import type { LockedFile } from "./LockFile.ts"
import { listFiles, resolveCommit } from "./repository.ts"
import { selectFiles } from "./select.ts"

export const lockReference = Effect.fn("lockReference")(function*(hub: Hub, reference: string) {
  const parsed = parseReference(reference)
  const commit = yield* resolveCommit(hub, parsed.repo, parsed.revision)
  const files = yield* Effect.fromResult(selectFiles(yield* listFiles(hub, parsed.repo, commit), parsed))
  const small = yield* fetchFiles(hub, parsed.repo, commit, files.filter(({ oid }) => isGit(oid)))
  const hashes = new Map(small.map(({ path, sha256 }) => [path, sha256]))
  return files.map(({ oid, path: file, size }): LockedFile => {
    const sha256 = hashes.get(file)
    return sha256 === undefined
      ? { reference, commit, file, size, sha256: oid }
      : { reference, commit, file, size, sha256, git: oid }
  })
})
