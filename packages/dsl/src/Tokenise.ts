// Pairs become ids: where prompt and answer meet, and what happens to what does not fit.
import type { Pairs, Tokens, Weights } from "./Artifact.ts"
import type { BadFile, BadTokens } from "./Errors.ts"
import type { DataNeed } from "./Formula.ts"
import { make, type Step } from "./Step.ts"

/**
 * What happens to a pair longer than `maxLength` (prompt and the longer answer together):
 * `drop` it; cut the prompt from the left, keeping BOS and a system turn, the same for both answers; cut the end of the
 * answers (no EOS is faked; a pair of which only one side is cut is dropped unless `allowCut`); or `fail`.
 */
export type Truncation = "drop" | "leftOfPrompt" | "endOfAnswer" | "fail"

export interface TokeniseOptions {
  /** Tokens of prompt and answer together, BOS and EOS included. */
  readonly maxLength: number
  readonly truncation?: Truncation
  readonly allowCut?: boolean
}

/** Text is encoded prompt and answer apart; messages are rendered by the model's chat template and must agree on a prefix. */
export const tokenise = <M extends string, H extends DataNeed, E1, E2>(
  data: Step<Pairs<H>, E1>,
  model: Step<Weights<M>, E2>,
  { maxLength, truncation = "drop", allowCut = false }: TokeniseOptions
): Step<Tokens<M, H>, E1 | E2 | BadTokens | BadFile> =>
  make({
    kind: "tokenise",
    title: `tokenise${data.title.startsWith("split ") ? data.title.slice(5) : ""}`,
    inputs: { data, model },
    parameters: { maxLength, truncation, allowCut }
  })
