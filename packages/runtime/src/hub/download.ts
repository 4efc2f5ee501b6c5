// One file of the Hub into the cache: in ranges, resumed where it stopped, and given its name only when its bytes have the
// hash that the listing or the lock says. What a server claims about itself (ETag, sizes) decides nothing.
import { HubError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { blobPath, diskError, lockPath, type Repo } from "./cache.ts"
import { type Digests, digestsOf, isOf } from "./digests.ts"
import { Transient } from "./failure.ts"
import type { Hub } from "./Hub.ts"
import { locked } from "./lock.ts"
import { openPartial, type Partial, partialPath, promote, type Range, removePartial } from "./partial.ts"
import type { RemoteFile } from "./repository.ts"

/** Ranges of one file at the same time; the connections of all files together are bounded by the Hub. */
const parallel = 4

/** Called with the bytes of the file that are here. */
export type Advanced = (bytes: number) => void

const encoded = (path: string): string => path.split("/").map(encodeURIComponent).join("/")

export const fileUrl = ({ settings: { endpoint } }: Hub, repo: Repo, commit: string, file: string): string =>
  `${endpoint}/${repo.replace(/^models\//, "")}/resolve/${commit}/${encoded(file)}`

/** `Whole`: the server sends whole files only, so that several ranges would be several whole files. */
type Filled = "Range" | "Whole"

const contentRange = (response: Response, range: Range, size: number): boolean => {
  const found = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "")
  return found !== null && Number(found[1]) === range.at && (found[3] === "*" || Number(found[3]) === size)
}

/** One try at the rest of a range. */
const fill = async (
  hub: Hub,
  question: { readonly repo: Repo; readonly url: string },
  partial: Partial,
  range: Range,
  size: number,
  best: { at: number },
  advanced: () => void,
  signal: AbortSignal
): Promise<Filled> => {
  const whole = range.at === 0 && range.end === size
  const headers: Record<string, string> = whole ? {} : { range: `bytes=${range.at}-${range.end - 1}` }
  const full = (cause: unknown): never => {
    throw diskError(question.repo, partial.path, cause)
  }
  const response = await hub.open({ ...question, init: { headers } }, signal)
  if (response.status === 416 || (response.status === 206 && !contentRange(response, range, size))) {
    await response.body?.cancel()
    await partial.rewind(range).catch(full)
    throw new Transient(`${new URL(question.url).host} does not give bytes ${range.at}- of ${size}`)
  }
  if (response.status !== 206 && !whole && partial.ranges.length > 1) {
    await response.body?.cancel()
    return "Whole"
  }
  let skip = response.status === 206 ? 0 : range.at
  const ended = (problem: string): Transient => {
    const progress = range.at > best.at
    best.at = Math.max(best.at, range.at)
    return new Transient(`${problem} at byte ${range.at} of ${size}`, { progress })
  }
  if (response.body === null) throw ended("the answer had no body")
  const body = response.body.getReader()
  try {
    while (range.at < range.end) {
      const piece = await body.read().catch((error: unknown) => {
        if (signal.aborted) throw error
        throw ended(`the connection broke off (${String((error as Error).cause ?? error)})`)
      })
      if (piece.done) break
      const bytes = piece.value.subarray(Math.min(skip, piece.value.length))
      skip -= piece.value.length - bytes.length
      if (bytes.length === 0) continue
      await partial.write(range, bytes.subarray(0, range.end - range.at)).catch(full)
      advanced()
    }
  } finally {
    await body.cancel().catch(() => undefined)
  }
  if (range.at < range.end) throw ended("the file ended early")
  return "Range"
}

/** Every byte of the file, whatever they are. */
const fillAll = Effect.fnUntraced(
  function*(
    hub: Hub,
    question: { readonly repo: Repo; readonly url: string },
    blob: string,
    size: number,
    rangeBytes: number,
    advanced: Advanced
  ) {
    const disk = (cause: unknown): HubError => diskError(question.repo, blob, cause)
    const partial = yield* Effect.acquireRelease(
      Effect.tryPromise({ try: () => openPartial(blob, size, rangeBytes), catch: disk }),
      ({ close }) => Effect.promise(close)
    )
    const here = (): void => advanced(partial.ranges.reduce((sum, { at, start }) => sum + at - start, 0))
    here()
    const filled = yield* Effect.forEach(
      partial.ranges.filter(({ at, end }) => at < end),
      (range) => {
        const best = { at: range.at }
        return hub.connections.withPermit(
          hub.retrying(question, (signal) => fill(hub, question, partial, range, size, best, here, signal))
        )
      },
      { concurrency: parallel }
    )
    yield* Effect.tryPromise({ try: partial.sync, catch: disk })
    return filled.includes("Whole") ? "Whole" : "Range"
  },
  Effect.scoped
)

/** Undefined when the file is not there or is another. */
const present = (hub: Hub, repo: Repo, file: RemoteFile) => {
  const at = blobPath(hub.settings.cache, repo, file.oid)
  return Effect.tryPromise({
    try: (signal) =>
      digestsOf(at, file.oid, signal).then(
        (digests) => isOf(digests, file) ? digests : undefined,
        (cause: NodeJS.ErrnoException) => {
          if (cause.code === "ENOENT") return undefined
          throw cause
        }
      ),
    catch: (cause) => diskError(repo, at, cause)
  })
}

/** Attempts at a file whose bytes turn out to be others. */
const starts = 3

/**
 * The file's blob, fetched unless it is in the cache and whole. Returns its digests. A file that is there but damaged (a
 * client that checks nothing put it there) is replaced.
 */
export const fetchBlob = Effect.fn("fetchBlob")(
  function*(
    hub: Hub,
    repo: Repo,
    commit: string,
    file: RemoteFile,
    advanced: Advanced
  ): Effect.fn.Return<Digests, HubError, Scope.Scope> {
    const { cache, offline, rangeBytes } = hub.settings
    const blob = blobPath(cache, repo, file.oid)
    const question = { repo, url: fileUrl(hub, repo, commit, file.path) }
    const disk = (cause: unknown): HubError => diskError(repo, blob, cause)
    const found = yield* present(hub, repo, file)
    if (found !== undefined) return found
    if (offline) {
      return yield* new HubError({
        repo,
        reason: "offline",
        problem: `${file.path} at ${commit.slice(0, 12)} is not in the cache ${cache}, and HF_HUB_OFFLINE is set`,
        remedy: "unset it, or fetch the file where there is a network and bring the cache"
      })
    }
    yield* locked(lockPath(cache, repo, file.oid), disk)
    // Another process may have fetched it while this one waited.
    const theirs = yield* present(hub, repo, file)
    if (theirs !== undefined) return theirs
    for (let start = 0, ranges = rangeBytes; start < starts;) {
      if ((yield* fillAll(hub, question, blob, file.size, ranges, advanced)) === "Whole") {
        ranges = file.size
        continue
      }
      const digests = yield* Effect.tryPromise({
        try: (signal) => digestsOf(partialPath(blob), file.oid, signal),
        catch: disk
      })
      if (isOf(digests, file)) {
        yield* Effect.tryPromise({ try: () => promote(blob), catch: disk })
        return digests
      }
      yield* Effect.tryPromise({ try: () => removePartial(blob), catch: disk })
      start += 1
    }
    return yield* new HubError({
      repo,
      reason: "integrity",
      problem: `${file.path} came ${starts} times with other bytes than its hash ${file.oid.slice(0, 12)} says`,
      remedy: "a proxy or mirror alters it: check HF_ENDPOINT and HTTPS_PROXY; nothing wrong was kept"
    })
  },
  Effect.scoped
)
