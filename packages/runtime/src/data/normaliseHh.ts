// Rows of Anthropic's HH-RLHF: two transcripts that share everything up to the last answer.
// The prompt is the text up to and including the last "\n\nAssistant:" of the chosen one; the answer is the rest as it
// is, so that its leading space stays. https://github.com/anthropics/hh-rlhf
import type { Fields, Part } from "./normalised.ts"

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
 * Turns that do not alternate are noted and kept, since the last answer is still an answer to what stands before it;
 * prompts that differ make the answers incomparable and are dropped.
 */
export const hhPart = (fields: Fields): Part => (row) => {
  const chosen = fields.text(row, "chosen")
  const rejected = fields.text(row, "rejected")
  const [chosenAt, rejectedAt] = [promptEnd(chosen), promptEnd(rejected)]
  const prompt = chosen.slice(0, chosenAt)
  return {
    example: {
      id: row.id,
      prompt,
      chosen: chosen.slice(chosenAt),
      rejected: rejected.slice(rejectedAt),
      columns: {}
    },
    reason: chosenAt === 0 || rejectedAt === 0
      ? "no assistant turn"
      : prompt === rejected.slice(0, rejectedAt)
      ? undefined
      : "prompts differ",
    odd: alternates(chosen) && alternates(rejected) ? [] : ["turns do not alternate"]
  }
}
