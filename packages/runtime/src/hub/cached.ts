// A file of a locked reference as far as it is in the cache, without asking anybody: what a plan may look into.
import { parseReference } from "@penchant/dsl/Reference"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as fs from "node:fs"
import { snapshotPath } from "./cache.ts"
import { CurrentHub } from "./Hub.ts"
import { lockedFiles } from "./LockFile.ts"

export const cachedFile = Effect.fnUntraced(function*(reference: string, name: string) {
  const { settings } = yield* CurrentHub
  const locked = lockedFiles(process.cwd(), reference)
  const file = Result.isSuccess(locked) ? locked.success.find(({ file }) => file === name) : undefined
  if (file === undefined) return undefined
  const at = snapshotPath(settings.cache, parseReference(reference).repo, file.commit, name)
  return fs.existsSync(at) ? at : undefined
})
