// What is judged: the model's answers beside the data set's chosen ones, or another model's, by prompt.
import type { Content } from "@penchant/dsl/Pair"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as path from "node:path"
import { readRows } from "../data/rows.ts"
import { readPairs } from "../data/rowsFile.ts"
import type { Contest } from "../evaluation/judge/winRate.ts"
import { examplesFile } from "./examples.ts"
import { folderOf } from "./files.ts"
import type { Job } from "./Implementation.ts"

const Answers = Schema.Struct({
  id: Schema.String,
  answers: Schema.NonEmptyArray(Schema.Struct({ text: Schema.String }))
})

/** As people read it: turns by name; text without the cue for the answer. */
const textOf = (content: Content): string =>
  typeof content === "string"
    ? content.replace(/\s*\n\nAssistant:\s*$/, "").trim()
    : content.map(({ content: said, role }) => `${role}: ${said}`).join("\n\n")
/** Of an answer: what was said alone. */
const saidIn = (content: Content): string =>
  typeof content === "string" ? content.trim() : content.map((message) => message.content).join("\n\n").trim()

const textsOf = Effect.fnUntraced(function*(job: Job, name: string) {
  const rows = yield* readRows(path.join(yield* folderOf(job, name), "answers.jsonl"), Answers)
  return new Map(rows.map(({ row }) => [row.id, row.answers[0].text.trim()]))
})

/** `difficulty` names the column of the pairs that has it. */
export const contestsOf = Effect.fnUntraced(function*(job: Job, difficulty: string | undefined) {
  const own = yield* textsOf(job, "answers")
  const others = job.inputs["others"] === undefined ? undefined : yield* textsOf(job, "others")
  const examples = yield* readPairs(yield* examplesFile(job, "pairs"))
  return examples.flatMap((example): ReadonlyArray<Contest> => {
    const text = own.get(example.id)
    if (text === undefined || "answer" in example) return []
    const { chosen, columns, id, prompt } = example
    const hard = difficulty === undefined ? undefined : columns[difficulty]
    return [{
      ...(hard === undefined ? {} : { difficulty: hard }),
      id,
      prompt: textOf(prompt),
      own: text,
      other: others?.get(id) ?? saidIn(chosen)
    }]
  })
})
