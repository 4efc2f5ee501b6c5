// What succeeded: rows of `action` and `label`, looked up by key for hits and by label for reasons.
import type { Speed } from "../training/speed.ts"
import type { Parts } from "./keys.ts"
import type { Label } from "./labels.ts"
import type { Rows } from "./Ledger.ts"

export interface Action {
  readonly actionKey: string
  readonly planKey: string
  readonly ownKey: string
  readonly kind: string
  /** Digest of the artifact. */
  readonly output: string
  readonly seconds: number
  readonly finished: number
}

const columns = "actionKey, planKey, ownKey, kind, output, seconds, finished"

export const actionOf = (rows: Rows, actionKey: string): Action | undefined =>
  rows.get<Action>(`SELECT ${columns} FROM action WHERE actionKey = ?`, actionKey)

const parse = (text: string): Parts => JSON.parse(text) as Parts

export const partsOf = (rows: Rows, actionKey: string): Parts | undefined => {
  const row = rows.get<{ readonly parts: string }>("SELECT parts FROM action WHERE actionKey = ?", actionKey)
  return row === undefined ? undefined : parse(row.parts)
}

/** The last success of a pipeline under a label, or under the name it may have had before another result came to share it. */
export const lastSuccess = (
  rows: Rows,
  { label, pipeline, spare }: Pick<Label, "label" | "pipeline" | "spare">
): Parts | undefined => {
  for (const name of [label, spare]) {
    if (name === undefined) continue
    const row = rows.get<{ readonly parts: string }>(
      "SELECT parts FROM label JOIN action USING (actionKey) WHERE pipeline = ? AND label = ?",
      pipeline,
      name
    )
    if (row !== undefined) return parse(row.parts)
  }
  return undefined
}

/** Names of code files by digest; {} when the digest was never recorded. */
export const codeFiles = (rows: Rows, digest: string): Readonly<Record<string, string>> => {
  const row = rows.get<{ readonly files: string }>("SELECT files FROM code WHERE digest = ?", digest)
  return row === undefined ? {} : JSON.parse(row.files) as Record<string, string>
}

/** Points the names of a node at a success. Unchanged rows are not written. */
export const recordLabels = (
  rows: Rows,
  { aliases, label, pipeline, spare }: Label,
  actionKey: string,
  now: number
): void => {
  const upsert = (spare: 0 | 1, condition: string): string =>
    `INSERT INTO label (pipeline, label, actionKey, at, spare) VALUES (?, ?, ?, ?, ${spare})
     ON CONFLICT (pipeline, label) DO UPDATE SET actionKey = excluded.actionKey, at = excluded.at, spare = excluded.spare
     WHERE (actionKey <> excluded.actionKey OR spare <> excluded.spare) AND ${condition}`
  for (const name of [label, ...aliases]) rows.run(upsert(0, "true"), pipeline, name, actionKey, now)
  // A name that something goes by is never taken away from it.
  if (spare !== undefined) rows.run(upsert(1, "spare = 1"), pipeline, spare, actionKey, now)
}

export interface Commit extends Action {
  readonly parts: Parts
  /** CPU, Node, engine: recorded with the result, in no key. */
  readonly environment: Readonly<Record<string, unknown>>
  readonly code: Readonly<Record<string, string>>
}

/** Before the names of what was measured while a result was made. */
const prefix = "speed/"

/** By action key, of those that were measured. */
export const speedsOf = (rows: Rows, actionKeys: ReadonlyArray<string>): ReadonlyMap<string, Speed> => {
  const found = rows.all<{ readonly actionKey: string; readonly name: string; readonly value: number }>(
    `SELECT actionKey, name, metric.value AS value FROM json_each(?) AS keys JOIN metric ON actionKey = keys.value
     WHERE name LIKE '${prefix}%'`,
    JSON.stringify(actionKeys)
  )
  return new Map(
    [...Map.groupBy(found, ({ actionKey }) => actionKey)].map(([key, all]) => [
      key,
      Object.fromEntries(all.map(({ name, value }) => [name.slice(prefix.length), value])) as unknown as Speed
    ])
  )
}

/** Named numbers of a result, by optimiser step where it has a curve. */
const metricsOf = (meta: object): ReadonlyArray<readonly [name: string, step: number, value: number]> => {
  const steps = "steps" in meta && Array.isArray(meta.steps) ? meta.steps as Array<unknown> : []
  return Object.entries(meta).flatMap(([name, value]) => {
    if (typeof value === "number") return [[name, 0, value] as const]
    if (name === "steps" || !Array.isArray(value) || value.length !== steps.length) return []
    return value.flatMap((at: unknown, i) => typeof at === "number" ? [[name, Number(steps[i]), at] as const] : [])
  })
}

/** The row that makes a step done. A result that was made again takes the place of the one that is gone. */
export const commit = (rows: Rows, action: Commit, meta: object, speed: Speed | undefined): void => {
  const { actionKey, code, environment, finished, kind, output, ownKey, parts, planKey, seconds } = action
  rows.run("INSERT OR IGNORE INTO code (digest, files) VALUES (?, ?)", parts.code, JSON.stringify(code))
  rows.run(
    `INSERT OR REPLACE INTO action (actionKey, planKey, ownKey, kind, parts, output, seconds, environment, finished)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    actionKey,
    planKey,
    ownKey,
    kind,
    JSON.stringify(parts),
    output,
    seconds,
    JSON.stringify(environment),
    finished
  )
  rows.run("DELETE FROM metric WHERE actionKey = ?", actionKey)
  const measured = Object.entries(speed ?? {}).map(([name, value]) => [`${prefix}${name}`, 0, value] as const)
  for (const [name, step, value] of [...metricsOf(meta), ...measured]) {
    rows.run(
      "INSERT OR REPLACE INTO metric (actionKey, name, step, value) VALUES (?, ?, ?, ?)",
      actionKey,
      name,
      step,
      value
    )
  }
}
