// Leases: an attempt without an end holds its action key. A holder that is gone is found out, never unlocked by hand.
import type { Rows } from "./Ledger.ts"
import { isAlive, type Owner, self } from "./owner.ts"

interface OpenAttempt extends Owner {
  readonly id: number
  readonly heartbeat: number
}

const selectOpen = "SELECT id, place, pid, begun, heartbeat FROM attempt WHERE actionKey = ? AND ended IS NULL"
// What a lost attempt reached is known up to its last heartbeat.
const markLost = "UPDATE attempt SET ended = heartbeat, outcome = 'lost' WHERE id = ?"
const insert = `INSERT INTO attempt (actionKey, label, place, pid, begun, started, heartbeat)
  VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id`

export type Lease =
  | { readonly _tag: "Mine"; readonly id: number }
  | { readonly _tag: "Busy"; readonly pid: number }

/** Takes the lease unless a living process has it. Call it in a write transaction. */
export const acquire = (rows: Rows, actionKey: string, label: string, now: number): Lease => {
  const open = rows.get<OpenAttempt>(selectOpen, actionKey)
  if (open !== undefined) {
    if (isAlive(open, open.heartbeat, now)) return { _tag: "Busy", pid: open.pid }
    rows.run(markLost, open.id)
  }
  const { begun, pid, place } = self()
  return {
    _tag: "Mine",
    id: rows.get<{ readonly id: number }>(insert, actionKey, label, place, pid, begun, now, now)!.id
  }
}

export type Ending = "done" | "failed" | "interrupted"

/** Ends an attempt; false when another process took it over meanwhile. */
export const release = (rows: Rows, id: number, outcome: Ending, now: number): boolean =>
  rows.run(
    "UPDATE attempt SET ended = ?, heartbeat = ?, outcome = ? WHERE id = ? AND ended IS NULL",
    now,
    now,
    outcome,
    id
  ) > 0

/** Keeps the leases of this process alive for those who cannot see its pid. */
export const beat = (rows: Rows, ids: ReadonlyArray<number>, now: number): void => {
  for (const id of ids) rows.run("UPDATE attempt SET heartbeat = ? WHERE id = ? AND ended IS NULL", now, id)
}

/** How long ms between heartbeats. */
export const pulse = 5000
