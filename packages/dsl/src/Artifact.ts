// What flows along the edges of a graph: kinds of artifact, as types only.
// `meta` is small JSON kept in the ledger and readable in a program; bytes live in the store.
import type { DataNeed } from "./Formula.ts"

export interface Kind {
  readonly _tag: string
  readonly meta: object
}

/** Rows of a data file, as they are. */
export interface Rows<out R> extends Kind {
  readonly _tag: "Rows"
  readonly row: R
  readonly meta: { readonly count: number }
}

/** Preference pairs. `Has` is what an objective may ask of them: sides and numeric columns. */
export interface Pairs<in Has extends DataNeed> extends Kind {
  readonly _tag: "Pairs"
  readonly has: (need: Has) => void
  readonly meta: { readonly count: number; readonly dropped: Readonly<Record<string, ReadonlyArray<string>>> }
}

/** Pairs in the ids of one tokenizer, named by `M`. */
export interface Tokens<out M extends string, in Has extends DataNeed> extends Kind {
  readonly _tag: "Tokens"
  readonly tokenizer: M
  readonly has: (need: Has) => void
  readonly meta: { readonly count: number; readonly tokens: number }
}

/** A Hugging Face folder: config, weights, tokenizer. */
export interface Weights<out M extends string> extends Kind {
  readonly _tag: "Weights"
  readonly tokenizer: M
  readonly meta: { readonly parameters: number }
}

/** Weights that still have their optimiser state, cursor and snapshots: what `extend` and `trajectory` need. */
export interface Trained<out M extends string> extends Weights<M> {
  readonly state: "optimiser"
}

/** Log-probability of every completion token, in nats. */
export interface LogProbs extends Kind {
  readonly _tag: "LogProbs"
  readonly meta: { readonly tokens: number }
}

/** Named numbers. */
export interface Scores<in T extends string> extends Kind {
  readonly _tag: "Scores"
  readonly meta: Readonly<Record<T, number>>
}

/** Named numbers at several steps of one training run. */
export interface Curve<in T extends string> extends Kind {
  readonly _tag: "Curve"
  readonly meta: { readonly steps: ReadonlyArray<number> } & Readonly<Record<T, ReadonlyArray<number>>>
}

/** What a finished step returns: the digest of its manifest, and the small part of it. */
export interface Artifact<out K extends Kind> {
  readonly digest: string
  readonly meta: K["meta"]
}
