// The files of a locked reference as far as they are in the cache, without asking anybody: what a plan may look into.
import { parseReference } from "@penchant/dsl/Reference"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as fs from "node:fs"
import * as path from "node:path"
import { snapshotPath } from "./cache.ts"
import { CurrentHub } from "./Hub.ts"
import { lockedFiles } from "./LockFile.ts"

/** The folder of the locked commit, and which of the locked files it has; undefined for what is not locked. */
export const cachedFolder = Effect.fnUntraced(function*(reference: string) {
  const { settings } = yield* CurrentHub
  const locked = lockedFiles(process.cwd(), reference)
  if (Result.isFailure(locked)) return undefined
  const { repo } = parseReference(reference)
  const folder = snapshotPath(settings.cache, repo, locked.success[0]!.commit, "")
  const there = locked.success.map(({ file }) => file).filter((file) => fs.existsSync(path.join(folder, file)))
  return { folder, there: new Set(there), whole: there.length === locked.success.length }
})
