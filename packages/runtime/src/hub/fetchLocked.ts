// The files of a locked reference, in the cache and exactly as locked. Nothing is asked of the Hub when they are there.
import { HubError } from "@penchant/dsl/Errors"
import { parseReference } from "@penchant/dsl/Reference"
import * as Effect from "effect/Effect"
import { pipelineShown } from "../platform/PipelineFile.ts"
import { Progress } from "../platform/Progress.ts"
import { type Fetched, fetchFiles } from "./fetchFiles.ts"
import { CurrentHub } from "./Hub.ts"
import { lockedFiles } from "./LockFile.ts"
import { progressOf } from "./progress.ts"

/** What the Hub says of a commit that is gone, as what it means for the lock. */
const drifted = (pipeline: string) => (error: HubError): HubError =>
  error.reason === "revision" || error.reason === "file"
    ? new HubError({
      repo: error.repo,
      reason: "drifted",
      problem: `what was locked is not there any more: ${error.problem}`,
      remedy: `run \`penchant lock ${pipeline}\`, or \`penchant run ${pipeline} --lock\`, to take what is there now`
    })
    : error

/** By their order in the repository. `label` is the step's, for progress. */
export const fetchLocked = Effect.fn("fetchLocked")(function*(label: string, reference: string) {
  const hub = yield* CurrentHub
  const { emit } = yield* Progress
  const pipeline = yield* pipelineShown
  const { repo } = parseReference(reference)
  const locked = yield* Effect.fromResult(lockedFiles(process.cwd(), reference, pipeline))
  const wanted = locked.map(({ file: path, git, sha256, size }) => ({ path, size, oid: git ?? sha256 }))
  const progress = yield* progressOf(emit, label)
  const fetched: ReadonlyArray<Fetched> = yield* fetchFiles(hub, repo, locked[0]!.commit, wanted, progress).pipe(
    Effect.mapError(drifted(pipeline))
  )
  const other = locked.find(({ sha256 }, i) => fetched[i]!.sha256 !== sha256)
  if (other !== undefined) {
    return yield* new HubError({
      repo,
      reason: "drifted",
      problem: `${other.file} is not what the lock says`,
      remedy: `the lock was edited: run \`penchant lock ${pipeline}\``
    })
  }
  return fetched
})
