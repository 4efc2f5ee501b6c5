// One writer per blob, between processes: the exclusive lock of an empty SQLite database, which the system takes back when
// its holder dies, however it dies. Python's own lock is another file: it could not see ours, nor we its flock; nothing is
// lost by that, since each side writes to a partial of its own and renames.
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { DatabaseSync } from "node:sqlite"

const busy = 5

/** The lock, or undefined while another holds it. */
const tryLock = (at: string): DatabaseSync | undefined => {
  fs.mkdirSync(path.dirname(at), { recursive: true })
  const database = new DatabaseSync(at, { timeout: 0 })
  try {
    database.exec("BEGIN EXCLUSIVE")
    return database
  } catch (cause) {
    database.close()
    if (((cause as { errcode?: number }).errcode ?? 0) % 256 === busy) return undefined
    throw cause
  }
}

/** Held until the scope closes. Looks again every 100 ms while another holds it. */
export const locked = <E>(at: string, failed: (cause: unknown) => E) =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      for (;;) {
        const database = yield* Effect.try({ try: () => tryLock(at), catch: failed })
        if (database !== undefined) return database
        yield* Effect.sleep(100)
      }
    }),
    (database) => Effect.sync(() => database.close()),
    { interruptible: true }
  )
