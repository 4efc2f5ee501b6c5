// Files of one commit into the cache, several at a time. One that fails does not take the others with it: what is finished
// stays, and what is not goes on from where it stopped when it is asked for again.
import type { HubError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { diskError, link, type Repo } from "./cache.ts"
import type { Digests } from "./digests.ts"
import { fetchBlob } from "./download.ts"
import type { Hub } from "./Hub.ts"
import type { RemoteFile } from "./repository.ts"

export interface Fetched extends RemoteFile, Digests {
  /** Where it lies, under its own name. */
  readonly at: string
}

const files = 4

export const fetchFiles = Effect.fn("fetchFiles")(function*(
  hub: Hub,
  repo: Repo,
  commit: string,
  wanted: ReadonlyArray<RemoteFile>,
  /** Bytes of a file that are here. */
  advanced: (file: RemoteFile, bytes: number) => void = () => undefined
): Effect.fn.Return<ReadonlyArray<Fetched>, HubError> {
  const { cache } = hub.settings
  const one = Effect.fnUntraced(function*(file: RemoteFile) {
    const digests = yield* fetchBlob(hub, repo, commit, file, (bytes) => advanced(file, bytes))
    const at = yield* Effect.tryPromise({
      try: () => link(cache, repo, commit, file.path, file.oid),
      catch: (cause) => diskError(repo, cache, cause)
    })
    return { ...file, ...digests, at }
  })
  const exits = yield* Effect.forEach(wanted, (file) => Effect.exit(one(file)), { concurrency: files })
  const fetched: Array<Fetched> = []
  for (const exit of exits) {
    if (Exit.isFailure(exit)) return yield* Effect.failCause(exit.cause)
    fetched.push(exit.value)
  }
  return fetched
})
