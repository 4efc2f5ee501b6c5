// What is in the ledger, for people: labels, and one result with everything it was made from.
import type { StoreError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Parts } from "./keys.ts"
import type { Ledger, Rows } from "./Ledger.ts"
import { decode, type Manifest } from "./manifest.ts"

/** No label and no digest of that name. */
export class UnknownResult extends Schema.TaggedError<UnknownResult>()("UnknownResult", {
  name: Schema.String,
  problem: Schema.String,
  similar: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const similar = this.similar.length === 0 ? "" : `; did you mean ${this.similar.join(", ")}?`
    return `${this.name}: ${this.problem}${similar}`
  }
}

export interface Listed {
  readonly label: string
  readonly kind: string
  readonly digest: string
  /** Of all its files. */
  readonly bytes: number
  readonly seconds: number
  /** Milliseconds since 1970. */
  readonly finished: number
}

/** The latest result under every label, by label. Where pipelines share one, the last that was given it. */
export const ls = (ledger: Ledger["Service"]): Effect.Effect<ReadonlyArray<Listed>, StoreError> =>
  ledger.read((rows) =>
    rows.all<Listed>(
      `SELECT label, artifact.kind AS kind, digest, bytes, seconds, finished
       FROM (SELECT label, actionKey, max(at) FROM label WHERE spare = 0 GROUP BY label)
       JOIN action USING (actionKey) JOIN artifact ON digest = output ORDER BY label`
    )
  )

/** Labels that share a word with the name, or begin like it. */
const similarTo = (rows: Rows, name: string): ReadonlyArray<string> => {
  const words = new Set(name.toLowerCase().split(/[^\p{L}\p{N}.]+/u).filter((word) => word.length > 2))
  const close = (label: string): number => {
    const shared = label.toLowerCase().split(/[^\p{L}\p{N}.]+/u).filter((word) => words.has(word)).length
    return shared + (name.length > 2 && label.startsWith(name.slice(0, 3)) ? 0.5 : 0)
  }
  return rows.all<{ readonly label: string }>("SELECT DISTINCT label FROM label WHERE spare = 0 ORDER BY label")
    .map(({ label }) => ({ label, score: close(label) }))
    .filter(({ score }) => score > 0)
    .toSorted((a, b) => b.score - a.score)
    .slice(0, 3)
    .map(({ label }) => label)
}

/** The digest of a result, by label, by digest, or by the first six or more letters of a digest. */
export const resolve = Effect.fnUntraced(
  function*(ledger: Ledger["Service"], name: string): Effect.fn.Return<string, StoreError | UnknownResult> {
    const { digests, similar } = yield* ledger.read((rows) => {
      const labelled = rows.get<{ readonly output: string }>(
        "SELECT output FROM label JOIN action USING (actionKey) WHERE label = ? ORDER BY at DESC LIMIT 1",
        name
      )
      const digests = labelled !== undefined
        ? [labelled.output]
        : /^[0-9a-f]{6,64}$/.test(name)
        ? rows.all<{ readonly digest: string }>(
          "SELECT digest FROM artifact WHERE digest >= ? AND digest < ? LIMIT 4",
          name,
          `${name}g`
        ).map(({ digest }) => digest)
        : []
      return { digests, similar: digests.length === 0 ? similarTo(rows, name) : digests }
    })
    if (digests.length === 1) return digests[0]!
    const problem = digests.length === 0 ? "no result has this label or digest" : "several results begin like this"
    return yield* new UnknownResult({ name, problem, similar })
  }
)

export interface Made {
  readonly actionKey: string
  readonly planKey: string
  readonly kind: string
  readonly parts: Parts
  readonly seconds: number
  readonly finished: number
  readonly environment: Readonly<Record<string, unknown>>
  /** The process that made it. */
  readonly pid: number | undefined
  readonly attempts: number
}

export interface Shown {
  readonly digest: string
  readonly labels: ReadonlyArray<string>
  readonly manifest: Manifest
  /** Every success that came out as exactly this; the latest first. */
  readonly made: ReadonlyArray<Made>
}

interface MadeRow {
  readonly actionKey: string
  readonly planKey: string
  readonly kind: string
  readonly parts: string
  readonly seconds: number
  readonly finished: number
  readonly environment: string
}

const madeOf = (rows: Rows, row: MadeRow): Made => {
  const attempts = rows.all<{ readonly pid: number; readonly outcome: string | null }>(
    "SELECT pid, outcome FROM attempt WHERE actionKey = ? ORDER BY id DESC",
    row.actionKey
  )
  return {
    ...row,
    parts: JSON.parse(row.parts) as Parts,
    environment: JSON.parse(row.environment) as Record<string, unknown>,
    pid: attempts.find(({ outcome }) => outcome === "done")?.pid,
    attempts: attempts.length
  }
}

/** Manifest, components and maker of a result, by anything that `resolve` takes. */
export const show = Effect.fnUntraced(
  function*(ledger: Ledger["Service"], name: string): Effect.fn.Return<Shown, StoreError | UnknownResult> {
    const digest = yield* resolve(ledger, name)
    return yield* ledger.read((rows) => ({
      digest,
      labels: rows.all<{ readonly label: string }>(
        "SELECT DISTINCT label FROM label JOIN action USING (actionKey) WHERE output = ? AND spare = 0 ORDER BY label",
        digest
      ).map(({ label }) => label),
      manifest: decode(
        rows.get<{ readonly manifest: string }>("SELECT manifest FROM artifact WHERE digest = ?", digest)!.manifest
      ),
      made: rows.all<MadeRow>(
        `SELECT actionKey, planKey, kind, parts, seconds, finished, environment FROM action WHERE output = ?
         ORDER BY finished DESC`,
        digest
      ).map((row) => madeOf(rows, row))
    }))
  }
)
