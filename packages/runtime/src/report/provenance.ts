// Where a trained model comes from, read off the ledger: its trainings back to the pretrained weights, the data they saw,
// and what was measured of it.
import type { StoreError } from "@penchant/dsl/Errors"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Home } from "../experiment/Home.ts"
import type { Own } from "../experiment/keys.ts"
import { ls, type Made, show, type Shown, UnknownResult } from "../experiment/listing.ts"

/** Files outside the store that a step read: a path or a reference to the Hub, and their hashes. */
export type Source = Own["sources"][string]

export interface Training {
  /** `objectives/dpo › train dpo` */
  readonly label: string
  readonly parameters: unknown
  readonly seconds: number
  readonly numerics: Readonly<Record<string, unknown>>
}

export interface Provenance {
  readonly model: Shown
  /** The last first. */
  readonly trainings: ReadonlyArray<Training>
  /** The pretrained weights; undefined where they came from a step of the user's own. */
  readonly base: Source | undefined
  readonly data: ReadonlyArray<Source>
  readonly scores: ReadonlyArray<{ readonly label: string; readonly numbers: Readonly<Record<string, number>> }>
}

const Numbers = Schema.Record(Schema.String, Schema.Finite)
const isNumbers = Schema.is(Numbers)

/** What a result is about: numbers of a model lead to the model, through joins, metrics and scores. */
const subjectOf = ({ kind, parts: { inputs } }: Made): string | undefined =>
  (inputs["scores"] ?? inputs["model"] ?? (kind === "scores" ? Object.values(inputs)[0] : undefined))?.digest

/** The models that a result is, or is about. Several where they measure exactly alike: equal numbers are one result. */
const modelsOf = Effect.fnUntraced(function*({ ledger }: Home, name: string) {
  const models = new Map<string, Shown>()
  const seen = new Set<string>()
  const left = [name]
  for (let at = left.pop(); at !== undefined; at = left.pop()) {
    if (seen.has(at)) continue
    seen.add(at)
    const shown = yield* show(ledger, at)
    if (shown.manifest.kind === "Weights") models.set(shown.digest, shown)
    else left.push(...shown.made.flatMap((made) => subjectOf(made) ?? []))
  }
  return [...models.values()]
})

/** Made for this result alone: `objectives/dpo › train dpo` is for `objectives/dpo`. */
const isFor = (result: string) => ({ labels }: Shown): boolean =>
  labels.some((label) => label.startsWith(`${result} › `))

/** Of a model, or of what was measured of one. */
export const provenanceOf = Effect.fn("provenanceOf")(function*(
  home: Home,
  name: string
): Effect.fn.Return<Provenance, StoreError | UnknownResult> {
  const models = yield* modelsOf(home, name)
  const chosen = models.length === 1 ? models : models.filter(isFor(name))
  const [model] = chosen
  if (model === undefined || chosen.length > 1) {
    return yield* new UnknownResult({
      name,
      problem: models.length === 0
        ? "is neither a model nor numbers of one; penchant ls lists the results"
        : "several models measure exactly like this",
      similar: models.flatMap(({ labels }) => labels.slice(0, 1))
    })
  }
  const trainings: Array<Training> = []
  const data = new Map<string, Source>()
  let base: Source | undefined
  const seen = new Set<string>()
  const visit = Effect.fnUntraced(function*(
    digest: string,
    onPath: boolean
  ): Effect.fn.Return<void, StoreError | UnknownResult> {
    if (seen.has(digest)) return
    seen.add(digest)
    const { labels, made: [made] } = yield* show(home.ledger, digest)
    if (made === undefined) return
    const { inputs, numerics = {}, parameters, sources } = made.parts
    if (onPath && (made.kind === "train" || made.kind === "extend")) {
      trainings.push({ label: labels[0] ?? made.kind, parameters, seconds: made.seconds, numerics })
    }
    if (onPath && made.kind === "model") base = Object.values(sources)[0]
    if (made.kind === "rows") { for (const source of Object.values(sources)) data.set(source.path, source) }
    for (const [input, { digest }] of Object.entries(inputs)) {
      // The reference is another model's business, unless it is the start, which comes along as `model`.
      if (input !== "reference") yield* visit(digest, onPath && (input === "model" || input === "trained"))
    }
  })
  yield* visit(model.digest, true)
  const scores: Array<Provenance["scores"][number]> = []
  for (const { digest, kind, label } of yield* ls(home.ledger)) {
    if (kind !== "Scores" || label.includes(" › ")) continue
    const of = yield* modelsOf(home, label)
    const ours = of.length === 1 ? of[0]!.digest === model.digest : isFor(label)(model)
    const { manifest: { meta } } = yield* show(home.ledger, digest)
    if (ours && isNumbers(meta)) scores.push({ label, numbers: meta })
  }
  return { model, trainings, base, data: [...data.values()], scores }
})
