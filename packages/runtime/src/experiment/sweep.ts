// Removes what crashes leave behind: half-written files and the scratch of steps that are done. Results are never touched here.
import type { StoreError } from "@penchant/dsl/Errors"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { attempt } from "../platform/problems.ts"
import { unfinished } from "./blobs.ts"
import { type Home, scratchDirectory, storeDirectory } from "./Home.ts"

/** A file that has been in the writing for so long (ms) has no writer. */
const age = 3_600_000

const halfWritten = (store: string, now: number): ReadonlyArray<string> =>
  fs.readdirSync(store).flatMap((shard) =>
    fs.readdirSync(path.join(store, shard))
      .filter((name) => name.startsWith(unfinished))
      .map((name) => path.join(store, shard, name))
      .filter((at) => now - (fs.statSync(at, { throwIfNoEntry: false })?.mtimeMs ?? now) > age)
  )

/** Paths that were removed. Safe beside running processes. */
export const sweep = Effect.fnUntraced(
  function*({ directory, ledger, scratch }: Home): Effect.fn.Return<ReadonlyArray<string>, StoreError> {
    const now = yield* Clock.currentTimeMillis
    const files = yield* attempt(directory, () => halfWritten(storeDirectory(directory), now))
    const keys = yield* attempt(directory, () => fs.readdirSync(scratchDirectory(directory)))
    const done = yield* ledger.read((rows) =>
      keys.filter((key) =>
        rows.get("SELECT 1 FROM action WHERE actionKey = ?", key) !== undefined &&
        rows.get("SELECT 1 FROM attempt WHERE actionKey = ? AND ended IS NULL", key) === undefined
      )
    )
    const removed = [...files, ...done.map(scratch)]
    yield* attempt(directory, () => {
      for (const at of removed) fs.rmSync(at, { recursive: true, force: true })
    })
    return removed
  }
)
