// The record of what was run: one SQLite file, a thin layer over node:sqlite. Every write is one durable transaction.
// Leaves out what the rows mean: see actions.ts, leases.ts, history.ts.
import { StoreError } from "@penchant/dsl/Errors"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"
import { attempt } from "../platform/problems.ts"
import { migrations } from "./ledgerTables.ts"

/** SQL with positional parameters. `Row` is what the statement selects; nothing checks it. */
export interface Rows {
  readonly get: <Row>(sql: string, ...values: ReadonlyArray<SQLInputValue>) => Row | undefined
  readonly all: <Row>(sql: string, ...values: ReadonlyArray<SQLInputValue>) => ReadonlyArray<Row>
  /** Number of rows changed. */
  readonly run: (sql: string, ...values: ReadonlyArray<SQLInputValue>) => number
}

export class Ledger extends Context.Service<Ledger, {
  readonly file: string
  readonly read: <A>(f: (rows: Rows) => A) => Effect.Effect<A, StoreError>
  /**
   * All or nothing; no other process writes meanwhile. `durable`: on disk when it returns. `noted`: survives this process,
   * however it dies, but perhaps not a power failure; for leases and caches, which lose nothing by it and save a disk's wait.
   */
  readonly write: <A>(f: (rows: Rows) => A, how?: "durable" | "noted") => Effect.Effect<A, StoreError>
}>()("@penchant/runtime/Ledger") {}

const rowsOf = (db: DatabaseSync): Rows => {
  const prepared = new Map<string, StatementSync>()
  const statement = (sql: string): StatementSync => {
    const known = prepared.get(sql)
    if (known !== undefined) return known
    const made = db.prepare(sql)
    prepared.set(sql, made)
    return made
  }
  return {
    get: <Row>(sql: string, ...values: ReadonlyArray<SQLInputValue>) =>
      statement(sql).get(...values) as Row | undefined,
    all: <Row>(sql: string, ...values: ReadonlyArray<SQLInputValue>) => statement(sql).all(...values) as Array<Row>,
    run: (sql, ...values) => Number(statement(sql).run(...values).changes)
  }
}

const transaction = <A>(db: DatabaseSync, f: () => A): A => {
  db.exec("BEGIN IMMEDIATE")
  try {
    const result = f()
    db.exec("COMMIT")
    return result
  } catch (cause) {
    if (db.isTransaction) db.exec("ROLLBACK")
    throw cause
  }
}

const version = (rows: Rows): number => rows.get<{ readonly user_version: number }>("PRAGMA user_version")!.user_version

/** The busy timeout does not cover the switch to WAL: of two processes that make the file at once, one must try again. */
const useWal = (db: DatabaseSync): void => {
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let tries = 1;; tries++) {
    try {
      return db.exec("PRAGMA journal_mode = WAL")
    } catch (cause) {
      if (tries === 200 || !String(cause).includes("database is locked")) throw cause
      Atomics.wait(pause, 0, 0, 50)
    }
  }
}

/** Opens or makes the file and brings its tables up to date. */
export const open = Effect.fnUntraced(
  function*(file: string): Effect.fn.Return<Ledger["Service"], StoreError, Scope.Scope> {
    const db = yield* Effect.acquireRelease(
      attempt(file, () => new DatabaseSync(file, { timeout: 20_000 })),
      (db) => Effect.sync(() => db.close())
    )
    const rows = rowsOf(db)
    const found = yield* attempt(file, () => {
      // Reading first: a file that is no database must not be touched.
      const before = version(rows)
      useWal(db)
      db.exec("PRAGMA synchronous = FULL")
      if (before >= migrations.length) return before
      return transaction(db, () => {
        // Another process may have migrated since.
        for (const sql of migrations.slice(version(rows))) db.exec(sql)
        db.exec(`PRAGMA user_version = ${migrations.length}`)
        return migrations.length
      })
    })
    if (found > migrations.length) {
      return yield* new StoreError({ path: file, problem: "was written by a newer penchant; upgrade this one" })
    }
    const noted = <A>(f: (rows: Rows) => A): A => {
      db.exec("PRAGMA synchronous = NORMAL")
      try {
        return transaction(db, () => f(rows))
      } finally {
        db.exec("PRAGMA synchronous = FULL")
      }
    }
    return {
      file,
      read: (f) => attempt(file, () => f(rows)),
      write: (f, how = "durable") =>
        attempt(file, () => (how === "durable" ? transaction(db, () => f(rows)) : noted(f)))
    }
  }
)
