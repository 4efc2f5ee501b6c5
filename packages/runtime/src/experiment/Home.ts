// The state directory, `./.penchant` or PENCHANT_HOME: results, the ledger, and the scratch of steps under way. Deleting it
// costs time only.
import type { StoreError } from "@penchant/dsl/Errors"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as path from "node:path"
import { attempt } from "../platform/problems.ts"
import { Ledger, open as openLedger } from "./Ledger.ts"
import { make as makeStore, Store } from "./Store.ts"

export interface Home {
  readonly directory: string
  readonly store: Store["Service"]
  readonly ledger: Ledger["Service"]
  /** Where a step works; it survives attempts and crashes. */
  readonly scratch: (actionKey: string) => string
}

export const storeDirectory = (home: string): string => path.join(home, "store")
export const scratchDirectory = (home: string): string => path.join(home, "scratch")

/** Makes what is missing and opens the ledger, for as long as the scope is open. */
export const openHome = Effect.fnUntraced(function*(home: string): Effect.fn.Return<Home, StoreError, Scope.Scope> {
  const directory = path.resolve(home)
  yield* attempt(directory, () => {
    for (const at of [storeDirectory(directory), scratchDirectory(directory)]) fs.mkdirSync(at, { recursive: true })
  })
  const ledger = yield* openLedger(path.join(directory, "ledger.sqlite"))
  return {
    directory,
    ledger,
    store: makeStore(storeDirectory(directory), ledger),
    scratch: (actionKey) => path.join(scratchDirectory(directory), actionKey)
  }
})

export class CurrentHome extends Context.Service<CurrentHome, Home>()("@penchant/runtime/Home") {
  static readonly layer = (home: string): Layer.Layer<CurrentHome, StoreError> =>
    Layer.effect(CurrentHome, openHome(home))
}
