// What a repository holds at a revision: the commit, and its files with their hashes. Through @huggingface/hub with our fetch.
import { HubError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { diskError, isCommit, isSafe, type Repo, writeRef } from "./cache.ts"
import type { Hub } from "./Hub.ts"

/** A file at a commit. `oid` names its blob in the cache: the sha256 of large files, the git sha1 of small ones. */
export interface RemoteFile {
  readonly path: string
  readonly size: number
  readonly oid: string
}

const Sha = Schema.Struct({ sha: Schema.String.check(Schema.isPattern(/^[0-9a-f]{40}$/)) })
const size = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Entry = Schema.Struct({
  type: Schema.String,
  path: Schema.String,
  size: Schema.optionalKey(size),
  oid: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[0-9a-f]{40}$/))),
  lfs: Schema.optionalKey(Schema.Struct({ oid: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)), size }))
})

export const repoOf = (repo: Repo) => {
  const [type, ...name] = repo.split("/")
  return { type: type === "models" ? "model" as const : "dataset" as const, name: name.join("/") }
}

/** The library asks through us: retries, limits and typed errors are the same for it. Its own token check is passed by. */
export const asking = Effect.fnUntraced(function*<A>(
  hub: Hub,
  repo: Repo,
  ask: (
    library: typeof import("@huggingface/hub"),
    options: { readonly fetch: typeof fetch; readonly hubUrl: string }
  ) => Promise<A>
) {
  const run = Effect.runPromiseWith(yield* Effect.context())
  const through: typeof fetch = (input, init = {}) => {
    const question = { repo, url: String(input), init }
    return run(hub.retrying(question, (signal) => hub.open(question, signal)), { signal: init.signal ?? undefined })
  }
  const library = yield* Effect.promise(() => import("@huggingface/hub"))
  return yield* Effect.tryPromise({
    try: () => ask(library, { fetch: through, hubUrl: hub.settings.endpoint }),
    catch: (error) =>
      error instanceof HubError ? error : new HubError({
        repo,
        reason: "protocol",
        problem: `an answer that is not the Hub's: ${error instanceof Error ? error.message : String(error)}`,
        remedy: "check HF_ENDPOINT, and what stands between"
      })
  })
})

const decoded = <A>(repo: Repo, schema: Schema.Codec<A, any>, value: unknown): Effect.Effect<A, HubError> =>
  Effect.mapError(Schema.decodeUnknownEffect(schema)(value), ({ message }) =>
    new HubError({
      repo,
      reason: "protocol",
      problem: `an answer that is not the Hub's: ${message}`,
      remedy: "check HF_ENDPOINT"
    }))

const offline = (repo: Repo, what: string): HubError =>
  new HubError({
    repo,
    reason: "offline",
    problem: `HF_HUB_OFFLINE is set, so ${what} cannot be asked`,
    remedy: "unset it"
  })

/** The commit that a branch, tag or commit is now; remembered in the cache's refs. */
export const resolveCommit = Effect.fn("resolveCommit")(function*(hub: Hub, repo: Repo, revision: string) {
  if (isCommit(revision)) return revision
  if (hub.settings.offline) return yield* offline(repo, `what ${revision} is now`)
  const { name, type } = repoOf(repo)
  const info = yield* asking(hub, repo, ({ datasetInfo, modelInfo }, options) =>
    type === "model"
      ? modelInfo({ name, revision, additionalFields: ["sha"], ...options })
      : datasetInfo({ name, revision, additionalFields: ["sha"], ...options }))
  const { sha } = yield* decoded(repo, Sha, info)
  const { cache } = hub.settings
  yield* Effect.tryPromise({
    try: () => writeRef(cache, repo, revision, sha),
    catch: (cause) => diskError(repo, cache, cause)
  })
  return sha
})

/** Every file at a commit, sorted by path. */
export const listFiles = Effect.fn("listFiles")(function*(hub: Hub, repo: Repo, commit: string) {
  if (hub.settings.offline) return yield* offline(repo, `what ${commit.slice(0, 12)} holds`)
  const entries = yield* asking(hub, repo, async ({ listFiles }, options) => {
    const all: Array<unknown> = []
    const listing = listFiles({ repo: repoOf(repo), revision: commit, recursive: true, ...options })
    for await (const entry of listing) all.push(entry)
    return all
  })
  const files: Array<RemoteFile> = []
  for (const entry of yield* decoded(repo, Schema.Array(Entry), entries)) {
    if (entry.type !== "file") continue
    const { lfs, oid, path, size } = entry
    if (!isSafe(path)) {
      return yield* new HubError({
        repo,
        reason: "protocol",
        problem: `lists a file by the name ${JSON.stringify(path)}`
      })
    }
    if (lfs !== undefined) files.push({ path, size: lfs.size, oid: lfs.oid })
    else if (oid !== undefined && size !== undefined) files.push({ path, size, oid })
  }
  return files.toSorted((a, b) => (a.path < b.path ? -1 : 1))
})
