// What a judge is asked, and how its answer is read: the prompts of DPO's appendix. https://arxiv.org/abs/2305.18290

export type Question = "hh" | "tldr" | "tldrSimple"

const form = (what: string, letter: string): string =>
  `Your response should use the format:\nComparison: <one-sentence comparison and explanation>\n${what}: <${letter}>`

const summaries = (opening: string) => (post: string, a: string, b: string): string =>
  `${opening}

Post:
${post}

Summary A:
${a}

Summary B:
${b}

FIRST provide a one-sentence comparison of the two summaries, explaining which you prefer and why. SECOND, on a new line, state only "A" or "B" to indicate your choice. ${
    form("Preferred", `"A" or "B"`)
  }`

const better =
  "Which of the following summaries does a better job of summarizing the most important points in the given forum post"

/** A question with its two answers as text, and the word that the verdict follows. */
export const questions: Readonly<
  Record<Question, { readonly verdict: string; readonly ask: (prompt: string, a: string, b: string) => string }>
> = {
  tldr: {
    verdict: "Preferred:",
    ask: summaries(
      `${better}, without including unimportant or irrelevant details? A good summary is both precise and concise.`
    )
  },
  tldrSimple: { verdict: "Preferred:", ask: summaries(`${better}?`) },
  hh: {
    verdict: "More helpful:",
    ask: (query, a, b) =>
      `For the following query to a chatbot, which response is more helpful?

Query: ${query}

Response A:
${a}

Response B:
${b}

FIRST provide a one-sentence comparison of the two responses and explain which you feel is more helpful. SECOND, on a new line, state only "A" or "B" to indicate which response is more helpful. ${
        form("More helpful", `"A" or "B"`)
      }`
  }
}

/** The last line that states one; undefined where none does. */
export const verdictIn = (answer: string): "A" | "B" | undefined =>
  [...answer.matchAll(/^(?:Preferred|More helpful):\s*"?([AB])\b/gm)].at(-1)?.[1] as "A" | "B" | undefined
