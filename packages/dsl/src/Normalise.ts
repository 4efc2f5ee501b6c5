// Rows of a known shape become preference pairs. Useless rows (an empty answer, chosen equal to rejected, prompts that
// differ) are dropped, counted and listed by id, or fail the step under `onBadRow: "fail"`.
import type { Pairs, Rows } from "./Artifact.ts"
import type { HhRow, PlainRow } from "./Dataset.ts"
import type { DataError } from "./Errors.ts"
import type { DataNeed } from "./Formula.ts"
import type { Message } from "./Pair.ts"
import type { ShareGptRow, TldrRow, UltraFeedbackRow, UnpairedRow } from "./Row.ts"
import { make, type Step } from "./Step.ts"

export type PairNeeds = "side:chosen" | "side:rejected"
/** What happens to a row that is well formed but useless. */
export type OnBadRow = "drop" | "fail"
/** Every shape of rows; the runtime has one normaliser for each, or does not compile. */
export const formats = ["hh", "implicit", "plain", "sharegpt", "tldr", "ultrafeedback", "unpaired"] as const
export type Format = (typeof formats)[number]

interface Options {
  readonly onBadRow?: OnBadRow
}

const step = <H extends DataNeed, E>(
  format: Format,
  rows: Step<Rows<unknown>, E>,
  { columns = [], onBadRow = "drop" }: Options & { readonly columns?: ReadonlyArray<string> }
): Step<Pairs<H>, E | DataError> =>
  make({ kind: "pairs", title: `normalise ${format}`, inputs: { rows }, parameters: { format, columns, onBadRow } })

/** Anthropic HH: the prompt ends with the last "\n\nAssistant:", the answer is the rest, unchanged. */
const hh = <E>(rows: Step<Rows<HhRow>, E>, options: Options = {}): Step<Pairs<PairNeeds>, E | DataError> =>
  step("hh", rows, options)

/** UltraFeedback Binarized, any split of preferences; its scores are columns. */
const ultrafeedback = <E>(
  rows: Step<Rows<UltraFeedbackRow>, E>,
  options: Options = {}
): Step<Pairs<PairNeeds | "column:score_chosen" | "column:score_rejected">, E | DataError> =>
  step("ultrafeedback", rows, options)

/** Reddit TL;DR comparisons of OpenAI, or the mirrors that have prompt, chosen and rejected. */
const tldr = <E>(
  rows: Step<Rows<TldrRow | PlainRow>, E>,
  options: Options = {}
): Step<Pairs<PairNeeds>, E | DataError> => step("tldr", rows, options)

/** Conversations of { from, value } turns with a chosen and a rejected one. */
const sharegpt = <E>(rows: Step<Rows<ShareGptRow>, E>, options: Options = {}): Step<Pairs<PairNeeds>, E | DataError> =>
  step("sharegpt", rows, options)

/** One answer each, with column `label`: 1 for a liked answer, 0 for another. For objectives of single answers, such as KTO. */
const unpaired = <E>(
  rows: Step<Rows<UnpairedRow | { readonly prompt: Text; readonly completion: Text; readonly label: boolean }>, E>,
  options: Options = {}
): Step<Pairs<"side:answer" | "column:label">, E | DataError> => step("unpaired", rows, options)

type Text = string | ReadonlyArray<Message>
type NumericColumns<R> = { [C in keyof R & string]: R[C] extends number ? C : never }[keyof R & string]

/** Rows that carry `prompt`, `chosen`, `rejected` as text or messages, and any numeric columns to carry along. */
const plain = <
  R extends { readonly prompt: Text; readonly chosen: Text; readonly rejected: Text },
  E,
  const C extends NumericColumns<R> = never
>(
  rows: Step<Rows<R>, E>,
  options: Options & { readonly columns?: ReadonlyArray<C> } = {}
): Step<Pairs<PairNeeds | `column:${C}`>, E | DataError> => step("plain", rows, options)

/**
 * Rows whose `chosen` and `rejected` both hold the prompt: of messages, the turns before the last answer; of text, the
 * tokens that both start with.
 */
const implicit = <
  R extends { readonly chosen: Text; readonly rejected: Text },
  E,
  const C extends NumericColumns<R> = never
>(
  rows: Step<Rows<R>, E>,
  options: Options & { readonly columns?: ReadonlyArray<C> } = {}
): Step<Pairs<PairNeeds | `column:${C}`>, E | DataError> => step("implicit", rows, options)

export const normalise = { hh, implicit, plain, sharegpt, tldr, ultrafeedback, unpaired }
