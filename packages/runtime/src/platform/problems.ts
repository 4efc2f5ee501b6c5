// What went wrong with the disk or the database, in words that say what to do. Anything else is a bug and is thrown on.
import { StoreError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"

const disk: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full; free some space and run again",
  EDQUOT: "the disk quota is used up; free some space and run again",
  EFBIG: "the file is larger than this system allows",
  EROFS: "is on a read-only file system; set PENCHANT_HOME to a directory that can be written",
  EACCES: "is not accessible to this user; change its permissions or set PENCHANT_HOME to another directory",
  EPERM: "is not accessible to this user; change its permissions or set PENCHANT_HOME to another directory",
  ENOTDIR: "has a file where a directory is expected; move that file away",
  EEXIST: "is a file where a directory is expected; move it away",
  ENOENT: "does not exist",
  EIO: "cannot be read from or written to the disk (input/output error)"
}

interface Failure {
  readonly code?: unknown
  readonly errcode?: unknown
  readonly path?: unknown
  readonly message?: unknown
}

const failure = (cause: unknown): Failure => (typeof cause === "object" && cause !== null ? cause : {})

/** SQLite's primary result codes that say something about the world, not about our SQL. */
const database: Readonly<Record<number, string>> = {
  3: "is not accessible to this user; change its permissions or set PENCHANT_HOME to another directory",
  5: "was locked by another process for too long; run again when that one is done",
  6: "was locked by another process for too long; run again when that one is done",
  8: "cannot be written (read-only); set PENCHANT_HOME to a directory that can be written",
  10: "cannot be read or written (disk error, or the disk is full)",
  11: "is corrupted; move it away and run again (steps run again, which costs time only)",
  13: "cannot grow: the disk is full; free some space and run again",
  14: "cannot be opened; set PENCHANT_HOME to a directory that can be written",
  26: "is not a database, or is corrupted; move it away and run again (steps run again, which costs time only)"
}

/** Undefined for what is neither the disk's nor the database's fault. */
export const problemOf = (cause: unknown, path: string): StoreError | undefined => {
  const { code, errcode, message, path: at } = failure(cause)
  if (code === "ERR_SQLITE_ERROR" && typeof errcode === "number") {
    const problem = database[errcode & 0xff]
    return problem === undefined ? undefined : new StoreError({ path, problem: `${problem} (${String(message)})` })
  }
  if (typeof code !== "string" || !/^E[A-Z0-9]+$/.test(code)) return undefined
  return new StoreError({ path: typeof at === "string" ? at : path, problem: disk[code] ?? String(message) })
}

/** Runs synchronous work on disk or database. */
export const attempt = <A>(path: string, f: () => A): Effect.Effect<A, StoreError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(f())
    } catch (cause) {
      const problem = problemOf(cause, path)
      return problem === undefined ? Effect.die(cause) : Effect.fail(problem)
    }
  })

/** Runs a promise of work on disk. */
export const attemptPromise = <A>(path: string, f: () => Promise<A>): Effect.Effect<A, StoreError> =>
  Effect.promise(() => f().then((value) => ({ value }), (cause: unknown) => ({ cause }))).pipe(
    Effect.flatMap((outcome) => {
      if ("value" in outcome) return Effect.succeed(outcome.value)
      const problem = problemOf(outcome.cause, path)
      return problem === undefined ? Effect.die(outcome.cause) : Effect.fail(problem)
    })
  )
