// What is left out of a set of pairs before training: what repeats itself, and what an evaluation asks.
import type { Pairs, Rows } from "./Artifact.ts"
import type { DataError } from "./Errors.ts"
import type { DataNeed } from "./Formula.ts"
import { make, type Step } from "./Step.ts"

/** The first of all pairs (or, `by: "prompt"`, of one prompt) that are the same but for case and white space. */
export const dedupe = <H extends DataNeed, E>(
  pairs: Step<Pairs<H>, E>,
  { by = "pair" }: { readonly by?: "pair" | "prompt" } = {}
): Step<Pairs<H>, E | DataError> => make({ kind: "dedupe", title: "dedupe", inputs: { pairs }, parameters: { by } })

/**
 * Without the pairs that share `words` consecutive words (13) with an evaluation set, whatever their case: the text of
 * its rows, of the `fields` named or all, or the prompts of pairs. Evaluation texts shorter than that are not looked for;
 * the report counts them.
 */
export const decontaminate = <H extends DataNeed, E, E2>(
  pairs: Step<Pairs<H>, E>,
  against: Readonly<Record<string, Step<Rows<unknown>, E2> | Step<Pairs<never>, E2>>>,
  { fields = [], words = 13 }: { readonly words?: number; readonly fields?: ReadonlyArray<string> } = {}
): Step<Pairs<H>, E | E2 | DataError> =>
  make({
    kind: "decontaminate",
    title: "decontaminate",
    inputs: { pairs, ...Object.fromEntries(Object.entries(against).map(([name, set]) => [`against/${name}`, set])) },
    parameters: { words, fields }
  })
