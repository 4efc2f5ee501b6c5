// Rows of Anthropic's HH-RLHF: two transcripts that share everything up to the last answer.
// The prompt is the text up to and including the last "\n\nAssistant:" of the chosen one; the answer is the rest as it
// is, so that its leading space stays. https://github.com/anthropics/hh-rlhf
import { BadRow } from "@penchant/dsl/Errors"
import * as Result from "effect/Result"
import { field, type Normalised, normalised, type NormaliseOptions, type Parted } from "./normalised.ts"
import type { Row } from "./rows.ts"

const marker = "\n\nAssistant:"

/** The length of the prompt; 0 when nobody answers. */
const promptEnd = (transcript: string): number => {
  const at = transcript.lastIndexOf(marker)
  return at === -1 ? 0 : at + marker.length
}

const alternates = (transcript: string): boolean => {
  let expected = "Human"
  for (const [, speaker] of transcript.matchAll(/\n\n(Human|Assistant):/g)) {
    if (speaker !== expected) return false
    expected = expected === "Human" ? "Assistant" : "Human"
  }
  return true
}

/**
 * Pairs of HH rows. Turns that do not alternate are noted and kept, since the last answer is still an answer to what
 * stands before it; prompts that differ make the answers incomparable and are dropped.
 */
export const normaliseHh = (
  rows: ReadonlyArray<Row>,
  options: NormaliseOptions = {}
): Result.Result<Normalised, BadRow> => {
  const file = options.file ?? "rows"
  const transcript = (id: string, row: unknown, side: string): Result.Result<string, BadRow> =>
    Result.flatMap(field(file, id, row, side), (value) =>
      typeof value === "string"
        ? Result.succeed(value)
        : Result.fail(
          new BadRow({ file, row: id, field: side, problem: `is ${JSON.stringify(value)?.slice(0, 60)}, not text` })
        ))
  return normalised(rows, ({ id, row }) =>
    Result.gen(function*() {
      const chosen = yield* transcript(id, row, "chosen")
      const rejected = yield* transcript(id, row, "rejected")
      const [chosenAt, rejectedAt] = [promptEnd(chosen), promptEnd(rejected)]
      const prompt = chosen.slice(0, chosenAt)
      const parted: Parted = {
        pair: { id, prompt, chosen: chosen.slice(chosenAt), rejected: rejected.slice(rejectedAt), columns: {} },
        reason: chosenAt === 0 || rejectedAt === 0
          ? "no assistant turn"
          : prompt === rejected.slice(0, rejectedAt)
          ? undefined
          : "prompts differ",
        alternates: alternates(chosen) && alternates(rejected)
      }
      return parted
    }), options)
}
