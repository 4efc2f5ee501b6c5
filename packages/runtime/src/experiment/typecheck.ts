// Pipeline files that passed the type checker: a file is checked again only when it, what it imports or the compiler changed.
import type { StoreError } from "@penchant/dsl/Errors"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Ledger } from "./Ledger.ts"

/** `key`: a digest of everything that the check depends on. */
export const passed = (ledger: Ledger["Service"], key: string): Effect.Effect<boolean, StoreError> =>
  ledger.read((rows) => rows.get("SELECT 1 FROM typecheck WHERE key = ?", key) !== undefined)

export const recordPassed = (ledger: Ledger["Service"], key: string, file: string): Effect.Effect<void, StoreError> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    ledger.write((rows) => {
      rows.run("INSERT OR REPLACE INTO typecheck (key, file, at) VALUES (?, ?, ?)", key, file, now)
    }, "noted"))
