// Rows of a known shape become preference pairs. Useless rows (an empty answer, chosen equal to rejected, prompts that
// differ) are dropped, counted and listed by id, or fail the step under `onBadRow: "fail"`.
import type { Pairs, Rows } from "./Artifact.ts"
import type { HhRow } from "./Dataset.ts"
import type { DataError } from "./Errors.ts"
import type { Message } from "./Pair.ts"
import { make, type Step } from "./Step.ts"

export type PairNeeds = "side:chosen" | "side:rejected"
/** What happens to a row that is well formed but useless. */
export type OnBadRow = "drop" | "fail"

type Text = string | ReadonlyArray<Message>
type NumericColumns<R> = { [C in keyof R & string]: R[C] extends number ? C : never }[keyof R & string]

/** Anthropic HH: the prompt ends with the last "\n\nAssistant:", the answer is the rest, unchanged. */
const hh = <E>(
  rows: Step<Rows<HhRow>, E>,
  options: { readonly onBadRow?: OnBadRow } = {}
): Step<Pairs<PairNeeds>, E | DataError> =>
  make({
    kind: "pairs",
    title: "normalise hh",
    inputs: { rows },
    parameters: { format: "hh", onBadRow: "drop", ...options }
  })

/** Rows that carry `prompt`, `chosen`, `rejected` as text or messages, and any numeric columns to carry along. */
const plain = <
  R extends { readonly prompt: Text; readonly chosen: Text; readonly rejected: Text },
  E,
  const C extends NumericColumns<R> = never
>(
  rows: Step<Rows<R>, E>,
  options: { readonly columns?: ReadonlyArray<C>; readonly onBadRow?: OnBadRow } = {}
): Step<Pairs<PairNeeds | `column:${C}`>, E | DataError> =>
  make({
    kind: "pairs",
    title: "normalise plain",
    inputs: { rows },
    parameters: { format: "plain", columns: options.columns ?? [], onBadRow: options.onBadRow ?? "drop" }
  })

export const normalise = { hh, plain }
