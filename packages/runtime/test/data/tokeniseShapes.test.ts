// Tokens of rows that are no pairs of text with a prompt apart: single answers, implicit prompts, conversations with tools.
import type { Example } from "@penchant/dsl/Pair"
import type { TokenGroups } from "@penchant/runtime/compute/Batch"
import { tokenisePairs } from "@penchant/runtime/data/tokenise"
import { loadTokenizer, type Tokenizer } from "@penchant/runtime/data/tokenizer"
import { unsound } from "@penchant/runtime/data/tokensFile"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { readFileSync } from "node:fs"
import { assert, describe, it } from "vitest"
import { minimind, reference, stories260K } from "./hh.ts"

const load = (path: string) => Effect.runPromise(loadTokenizer(path))
const stories = await load(stories260K)
const chatty = await load(minimind)
const options = { maxLength: 10_000, truncation: "drop" } as const
const run = (examples: ReadonlyArray<Example>, tokenizer: Tokenizer) =>
  Effect.runPromise(tokenisePairs(examples, tokenizer, options))
const failure = async (examples: ReadonlyArray<Example>, tokenizer: Tokenizer) => {
  const result = await Effect.runPromise(Effect.result(tokenisePairs(examples, tokenizer, options)))
  if (Result.isSuccess(result)) throw new Error("tokenised")
  return { tag: result.failure._tag, message: result.failure.message }
}
/** Group g of pairs taken apart: prompt, chosen, rejected. */
const partsOf = ({ branchLength, offsets, promptLength, tokens }: TokenGroups, g: number) => {
  let at = offsets[g]!
  return [promptLength[g]!, branchLength[2 * g]!, branchLength[2 * g + 1]!].map((length) =>
    Array.from(tokens.subarray(at, at += length))
  )
}
const pair = (prompt: Example["prompt"], chosen: Example["prompt"], rejected: Example["prompt"], id = "r") => ({
  id,
  prompt,
  chosen,
  rejected,
  columns: {}
})
const user = (content: string) => ({ role: "user", content })
const assistant = (content: string) => ({ role: "assistant", content })

describe("other rows than pairs of text with a prompt", () => {
  it("tokenises single answers with their label", async () => {
    const liked = { id: "0", prompt: "a", answer: " b", columns: { label: 1 } }
    const chat = { id: "1", prompt: [user("Hi")], answer: [assistant("yes")], columns: { label: 0 } }
    const { groups, report } = await run([liked, chat], stories)
    assert.deepStrictEqual([groups.sides, groups.columns], [["answer"], { label: Float64Array.of(1, 0) }])
    const [prompt, answer] = [stories.encode("a", true), stories.encode(" b", false).concat(2)]
    assert.deepStrictEqual(Array.from(groups.tokens.subarray(0, groups.offsets[1])), [...prompt, ...answer])
    assert.deepStrictEqual([groups.promptLength[0], groups.branchLength[0]], [prompt.length, answer.length])
    assert.deepStrictEqual([report.kept, report.unended, report.cut], [2, { answer: 0 }, { answer: 0, prompt: 0 }])
    assert.strictEqual(unsound(groups), undefined)
    assert.deepStrictEqual(await failure([pair("a", "b", "c", "0"), { ...liked, id: "1" }], stories), {
      tag: "BadTokens",
      message: "row 1: has 1 answers, rows before it 2"
    })
  })

  it("ends an implicit prompt where the tokens stop being the same", async () => {
    // Two texts that part inside a word: the words say " bec", the tokens say where.
    const [left, right] = ["Q: why? A: because of it", "Q: why? A: become one"]
    const { groups } = await run(
      [{ ...pair("Q: why? A:", " because of it", " become one"), implicit: true as const }],
      stories
    )
    const [a, b] = [stories.encode(left, true), stories.encode(right, true)]
    const same = a.findIndex((id, index) => id !== b[index])
    assert.deepStrictEqual(partsOf(groups, 0), [a.slice(0, same), [...a.slice(same), 2], [...b.slice(same), 2]])
    assert.isAbove(same, stories.encode("Q: why? A:", true).length)
  })

  it("shows tools and calls to the template", async () => {
    const vectors: ReadonlyArray<{ readonly messages: ReadonlyArray<any>; readonly tools: ReadonlyArray<unknown> }> =
      JSON.parse(readFileSync(reference("tokenizers/tools-template-vectors.json"), "utf8"))
    const { messages, tools } = vectors[1]!
    const prompt = messages.slice(0, 2)
    const rows = { ...pair(prompt, messages.slice(2), [assistant("5")]), tools }
    const { groups } = await run([rows], chatty)
    const [head, chosen] = partsOf(groups, 0).map((ids) => chatty.decode(ids))
    assert.include(head!, `{"type": "function", "function": {"name": "add"`)
    assert.include(chosen!, `<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 2}}\n</tool_call><|im_end|>`)
    assert.isTrue(chosen!.endsWith("It is 4.<|im_end|>"))
  })
})
