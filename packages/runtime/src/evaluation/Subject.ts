// The model that is asked: open on an engine, with its tokenizer.
import type * as Effect from "effect/Effect"
import type { Numerics, Session } from "../compute/Engine.ts"
import type { Tokenizer } from "../data/tokenizer.ts"

export interface Subject {
  readonly session: Session
  readonly numerics: Numerics
  readonly tokenizer: Tokenizer
  /** Tokens that the model can see. */
  readonly window: number
  /** Hears which share of the work is done. */
  readonly onDone?: (share: number) => Effect.Effect<void>
}
