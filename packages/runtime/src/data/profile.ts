// What a data set of preferences is like, row by row as it passes through: how long its parts are, what languages they
// are in, and everything about it that a training would stumble over, with the ids of the rows.
import { BadFile } from "@penchant/dsl/Errors"
import { type Format, formats } from "@penchant/dsl/Normalise"
import { answersOf, type Content, type Example } from "@penchant/dsl/Pair"
import { languageOf } from "./language.ts"
import type { Report } from "./normalised.ts"
import { normaliserOf } from "./normalisers.ts"
import type { Quantiles } from "./quantiles.ts"
import { recognise } from "./recognise.ts"
import { type Row, rowBatches } from "./rows.ts"
import { type Tally, tally } from "./tally.ts"

export interface Finding {
  readonly what: string
  /** Whether a training leaves these rows out. */
  readonly dropped: boolean
  /** All of them, in row order. */
  readonly rows: ReadonlyArray<string>
}

export interface Profile {
  readonly name: string
  readonly format: Format
  readonly rows: number
  /** What is left for training. */
  readonly pairs: number
  /** Characters of each part of a pair. */
  readonly lengths: Readonly<Record<string, Quantiles>>
  /** Shares of characters in bins of the widths `bin`, from 0. */
  readonly histograms: Readonly<Record<string, { readonly bin: number; readonly counts: ReadonlyArray<number> }>>
  /** Share of pairs whose chosen answer is the longer one, equal lengths a half; undefined for single answers. */
  readonly chosenLonger: number | undefined
  /** Turns of the prompt -> pairs; text that is no transcript counts as one. */
  readonly turns: Readonly<Record<string, number>>
  readonly withSystem: number
  readonly withTools: number
  /** Part or role -> language -> how many texts of it. */
  readonly languages: Readonly<Record<string, Readonly<Record<string, number>>>>
  /** Column -> what its numbers are like. */
  readonly columns: Readonly<Record<string, Quantiles>>
  readonly findings: ReadonlyArray<Finding>
}

const textOf = (content: Content): string =>
  typeof content === "string" ? content : content.map((message) => message.content).join("\n")

/** Of a transcript its turns, the last "Assistant:" being none yet; other text counts as one. */
const turnsOf = (prompt: string): number => Math.max(1, (prompt.match(/\n\n(?:Human|Assistant):/g) ?? []).length - 1)

const bins = 40

/** Counts in bins up to the 99th percentile; what is longer is in the last. */
const histogram = ({ histogram, quantiles }: Tally) => {
  const bin = Math.max(1, Math.ceil(quantiles().p99 / bins))
  return { bin, counts: histogram(bin, bins) }
}

const push = (tallies: Record<string, Tally>, name: string, value: number): void =>
  (tallies[name] ??= tally()).add(value)

/** Everything that is learnt of one example after the other. */
const collector = () => {
  const lengths: Record<string, Tally> = {}
  const columns: Record<string, Tally> = {}
  const turns: Record<string, number> = {}
  const languages: Record<string, Record<string, number>> = {}
  const otherLanguage: Array<string> = []
  let [pairs, longer, withSystem, withTools] = [0, 0, 0, 0]
  const speak = (part: string, text: string): string => {
    const language = languageOf(text)
    const counts = languages[part] ??= {}
    counts[language] = (counts[language] ?? 0) + 1
    return language
  }
  const see = (example: Example): void => {
    const { columns: values, id, prompt, tools } = example
    pairs += 1
    push(lengths, "prompt", textOf(prompt).length)
    if (typeof prompt !== "string") {
      if (prompt[0]?.role === "system") withSystem += 1
      for (const { content, role } of prompt) if (role !== "user") speak(`${role} turns of the prompt`, content)
    }
    if (tools !== undefined) withTools += 1
    const count = typeof prompt === "string" ? turnsOf(prompt) : prompt.length
    turns[count] = (turns[count] ?? 0) + 1
    const asked = speak(
      "prompt",
      typeof prompt === "string" ? prompt : prompt.findLast(({ role }) => role === "user")?.content ?? ""
    )
    let other = false
    for (const [side, answer] of answersOf(example)) {
      const text = textOf(answer)
      push(lengths, side, text.length)
      const language = speak(side, text)
      other ||= language !== asked && ![language, asked].some((one) => one === "no letters" || one === "unclear")
    }
    if (other) otherLanguage.push(id)
    if (!("answer" in example)) {
      const [chosen, rejected] = [textOf(example.chosen).length, textOf(example.rejected).length]
      longer += chosen > rejected ? 1 : chosen === rejected ? 0.5 : 0
    }
    for (const [name, value] of Object.entries(values)) push(columns, name, value)
  }
  const of = (tallies: Readonly<Record<string, Tally>>): Record<string, Quantiles> =>
    Object.fromEntries(Object.entries(tallies).map(([name, { quantiles }]) => [name, quantiles()]))
  return {
    see,
    finish: () => ({
      pairs,
      lengths: of(lengths),
      histograms: Object.fromEntries(
        Object.entries(lengths).map(([part, counted]) => [part, histogram(counted)])
      ),
      chosenLonger: lengths["chosen"] === undefined ? undefined : longer / pairs,
      turns,
      withSystem,
      withTools,
      languages,
      columns: of(columns),
      otherLanguage
    })
  }
}

const findingsOf = ({ dropped, noted }: Report, otherLanguage: ReadonlyArray<string>): ReadonlyArray<Finding> => [
  ...Object.entries(dropped).map(([what, rows]) => ({ what, dropped: true, rows })),
  ...Object.entries(noted).map(([what, rows]) => ({ what, dropped: false, rows })),
  ...(otherLanguage.length === 0
    ? []
    : [{ what: "an answer is in another language than the prompt (a guess)", dropped: false, rows: otherLanguage }])
]

/** Reads files of rows through. `format` is recognised by the first row when it is left out. Throws `BadFile`, `BadRow`. */
export const profileOf = async (
  name: string,
  files: ReadonlyArray<string>,
  asked: Format | undefined,
  signal: AbortSignal
): Promise<Profile> => {
  const { finish, see } = collector()
  let rows = 0
  let format = asked
  let normaliser: ReturnType<typeof normaliserOf> | undefined
  const start = (first: Row): ReturnType<typeof normaliserOf> => {
    format ??= recognise(first.row)
    if (format === undefined) {
      const fields = typeof first.row === "object" && first.row !== null ? Object.keys(first.row).join(", ") : "none"
      throw new BadFile({
        file: name,
        problem: `its rows are of no shape that is known (fields: ${fields})`,
        remedy: `say which with --format: ${formats.join(", ")}`
      })
    }
    return normaliserOf(format, { file: name })
  }
  try {
    for await (const batch of rowBatches(files, undefined, signal)) {
      for (const row of batch) {
        normaliser ??= start(row)
        rows += 1
        const example = normaliser.take(row)
        if (example !== undefined) see(example)
      }
    }
    const { otherLanguage, ...learnt } = finish()
    return { name, format: format!, rows, ...learnt, findings: findingsOf(normaliser!.finish(), otherLanguage) }
  } finally {
    normaliser?.close()
  }
}
