// What happened to each node in this process, kept for the report at the end and written to the ledger in batches.
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { recordLabels } from "./actions.ts"
import type { Code } from "./code.ts"
import { environment } from "./environment.ts"
import type { Label } from "./labels.ts"
import type { Ledger, Rows } from "./Ledger.ts"
import type { Why } from "./Why.ts"

export type Status = "hit" | "ran" | "failed" | "blocked" | "interrupted"

export interface Outcome {
  readonly label: string
  readonly aliases: ReadonlyArray<string>
  readonly exported: boolean
  readonly kind: string
  readonly planKey: string
  /** Undefined when an input is missing. */
  readonly actionKey: string | undefined
  readonly status: Status
  readonly why: ReadonlyArray<Why>
  /** Of this process; 0 for a hit. */
  readonly seconds: number
  readonly artifact: { readonly digest: string; readonly kind: string; readonly meta: object } | undefined
  /** What went wrong, in words; for a blocked step what went wrong upstream. */
  readonly problem: string | undefined
}

interface Happening {
  readonly tag: string
  readonly label: string
  readonly message: string
  readonly at: number
}

export interface History {
  readonly record: (outcome: Outcome, names: Label) => Effect.Effect<void>
  readonly event: (tag: string, label: string, message: string) => Effect.Effect<void>
  /** The latest outcome by plan key. */
  readonly outcomes: ReadonlyMap<string, Outcome>
  /** Writes what is not written yet. Losing it loses no result, so a ledger that cannot be written is not an error here. */
  readonly flush: Effect.Effect<void>
}

const insertRun = `INSERT INTO run (started, pid, arguments, code, environment) VALUES (?, ?, ?, ?, ?) RETURNING id`
const insertNode = `INSERT OR REPLACE INTO run_node (run, label, kind, planKey, actionKey, status, why, seconds, at)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
const insertEvent = "INSERT INTO event (run, at, tag, label, message) VALUES (?, ?, ?, ?, ?)"

export const history = (ledger: Ledger["Service"], code: () => Code | undefined): History => {
  const outcomes = new Map<string, Outcome>()
  let pending: Array<{ readonly outcome: Outcome; readonly names: Label; readonly at: number }> = []
  let events: Array<Happening> = []
  let run: number | undefined

  const begin = (rows: Rows, now: number): number =>
    rows.get<{ readonly id: number }>(
      insertRun,
      now,
      process.pid,
      JSON.stringify(process.argv.slice(2)),
      code()?.digest ?? "",
      JSON.stringify(environment())
    )!.id

  const flush = Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Effect.suspend(() => {
      if (pending.length === 0 && events.length === 0) return Effect.void
      const [nodes, happenings] = [pending, events]
      pending = []
      events = []
      return ledger.write((rows) => {
        const id = run ?? begin(rows, now)
        for (const { at, names, outcome } of nodes) {
          const { actionKey, artifact, kind, label, planKey, seconds, status, why } = outcome
          rows.run(insertNode, id, label, kind, planKey, actionKey ?? null, status, JSON.stringify(why), seconds, at)
          if (artifact !== undefined && actionKey !== undefined) recordLabels(rows, names, actionKey, at)
        }
        for (const { at, label, message, tag } of happenings) rows.run(insertEvent, id, at, tag, label, message)
        return id
      }, "noted").pipe(
        Effect.map((id) => {
          run = id
        }),
        Effect.ignore
      )
    }))

  return {
    outcomes,
    record: (outcome, names) =>
      Effect.flatMap(Clock.currentTimeMillis, (at) => {
        outcomes.set(outcome.planKey, outcome)
        pending.push({ outcome, names, at })
        return pending.length >= 5000 ? flush : Effect.void
      }),
    event: (tag, label, message) =>
      Effect.map(Clock.currentTimeMillis, (at) => void events.push({ tag, label, message, at })),
    flush
  }
}
