// The shapes of rows that people train on: real rows where there are any, rows built by the publisher's rule elsewhere.
import { PlainRow } from "@penchant/dsl/Dataset"
import type { Format } from "@penchant/dsl/Normalise"
import { answersOf, type Example } from "@penchant/dsl/Pair"
import { ShareGptRow, TldrRow, UltraFeedbackRow, UnpairedRow } from "@penchant/dsl/Row"
import { type FormatOptions, normalise } from "@penchant/runtime/data/normalisers"
import { readRows } from "@penchant/runtime/data/rows"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { assert, describe, it } from "vitest"
import { reference } from "./hh.ts"

const of = (...values: ReadonlyArray<unknown>) => values.map((row, index) => ({ id: String(index), row }))
const all = (format: Format, rows: ReadonlyArray<unknown>, options?: FormatOptions) =>
  Result.getOrThrow(normalise(format, of(...rows), options))
const failure = (format: Format, ...rows: ReadonlyArray<unknown>) => {
  const result = normalise(format, of(...rows), { file: "f" })
  if (Result.isSuccess(result)) throw new Error("no failure")
  return result.failure.message
}
type Messages = ReadonlyArray<{ readonly role: string; readonly content: string }>
/** Prompt and answers by name. */
const contentOf = (example: Example): Readonly<Record<string, unknown>> => ({
  prompt: example.prompt,
  ...Object.fromEntries(answersOf(example))
})
const user = (content: string) => ({ role: "user", content })
const assistant = (content: string) => ({ role: "assistant", content })

const prefs = await Effect.runPromise(
  readRows(reference("parquet/test_prefs-00000-of-00001.parquet"), UltraFeedbackRow)
)
const preferences = await Effect.runPromise(readRows(reference("rows/dpo_en_demo.json.gz"), ShareGptRow))
const liked = await Effect.runPromise(readRows(reference("rows/kto_en_demo.json.gz"), UnpairedRow))

describe("ultrafeedback", () => {
  it("has the prompt once, the last turns as answers, and the scores as columns", () => {
    const { dropped, noted, pairs } = all("ultrafeedback", prefs.map(({ row }) => row))
    assert.deepStrictEqual([dropped, noted, pairs.length], [{}, {}, 61])
    for (const [index, { row }] of prefs.entries()) {
      assert.deepStrictEqual(contentOf(pairs[index]!), {
        prompt: [user(row.prompt!)],
        chosen: [assistant(row.chosen[1]!.content)],
        rejected: [assistant(row.rejected[1]!.content)]
      })
      assert.deepStrictEqual(pairs[index]!.columns, { score_chosen: 1, score_rejected: 0 })
    }
  })

  it("reads the mirror without a prompt by its turns, to the same pairs", () => {
    const rows = prefs.map(({ row }) => ({ ...row, prompt: undefined }))
    assert.deepStrictEqual(all("ultrafeedback", rows).pairs, all("ultrafeedback", prefs.map(({ row }) => row)).pairs)
  })

  it("finds the defects that the real data has", () => {
    const turns = (...contents: ReadonlyArray<string>) =>
      contents.map((content, i) => i % 2 === 0 ? user(content) : assistant(content))
    const scores = { score_chosen: 8, score_rejected: 7 }
    const { dropped, noted, pairs } = all("ultrafeedback", [
      { prompt: "q", chosen: turns("q", ""), rejected: turns("q", "b"), ...scores },
      { prompt: "q", chosen: turns("q", "a"), rejected: turns("q", " \n"), ...scores },
      { prompt: "q", chosen: turns("q", "a"), rejected: turns("q", "a"), ...scores },
      { prompt: "q", chosen: turns("q", "a"), rejected: turns("r", "b"), ...scores },
      { prompt: "q", chosen: turns("q", "a", "more", "c"), rejected: turns("q", "a", "more", "d"), ...scores },
      { prompt: "q", chosen: turns("q", "a"), rejected: turns("q", "b"), score_chosen: 5, score_rejected: 5 }
    ])
    assert.deepStrictEqual(dropped, {
      "chosen is blank": ["0"],
      "rejected is blank": ["1"],
      "chosen equals rejected": ["2"],
      "prompts differ": ["3"]
    })
    assert.deepStrictEqual(noted, { "scores do not prefer the chosen": ["5"] })
    assert.deepStrictEqual(pairs.map(contentOf), [
      { prompt: turns("q", "a", "more"), chosen: [assistant("c")], rejected: [assistant("d")] },
      { prompt: turns("q"), chosen: [assistant("a")], rejected: [assistant("b")] }
    ])
    assert.strictEqual(
      failure("ultrafeedback", { prompt: "q", chosen: turns("q", "a"), rejected: turns("q", "b"), score_chosen: 1 }),
      `f, row 0, field "score_rejected": is missing`
    )
  })
})

describe("tldr", () => {
  const info = { id: "t3_1", title: "T", subreddit: "dogs", post: "One.\n\nTwo.", site: null, article: null }
  const summaries = [{ text: " worse", policy: "sup1", note: null }, { text: " better", policy: "ref", note: null }]
  const prompt = "SUBREDDIT: r/dogs\n\nTITLE: T\n\nPOST: One.\nTwo.\n\nTL;DR:"

  it("gives one prompt for OpenAI's rows and both mirrors", () => {
    const { pairs } = all("tldr", [
      { info, summaries, choice: 1, worker: "w", batch: "batch3", split: "train", extra: { confidence: null } },
      { prompt, chosen: " better", rejected: " worse" },
      {
        prompt: "SUBREDDIT: r/dogs\n\nTITLE: T\n\nPOST: One.\nTwo.\n",
        chosen: "TL;DR: better",
        rejected: "TL;DR: worse"
      }
    ])
    for (const pair of pairs) assert.deepStrictEqual(contentOf(pair), { prompt, chosen: " better", rejected: " worse" })
    assert.strictEqual(pairs.length, 3)
    const news = { title: "T", article: "A.\n\nB." }
    assert.strictEqual(
      all("tldr", [{ info: news, summaries, choice: 0 }]).pairs[0]!.prompt,
      "TITLE: T\n\nA.\nB.\n\nTL;DR:"
    )
  })

  it("takes each schema that the data comes in, and makes of it what TRL makes", () => {
    const rest = { worker: "w", split: "train", extra: { confidence: 8 } }
    const two = [{ text: " first", policy: "sup4", note: null }, { text: " second", policy: "ref", note: "n" }]
    // OpenAI's own lines lack what does not apply; the Hub's tables have null there.
    const reddit = { id: "t3_a", post: "One\n\ntwo\n\n\nthree", title: "Why?", subreddit: "legaladvice" }
    const article = { id: "0fa7", site: "cnn", title: "News", article: "One\n\ntwo" }
    const tables = [
      { info: { ...reddit, site: null, article: null }, summaries: two, choice: 1, batch: "batch9", ...rest },
      { info: { post: null, subreddit: null, ...article }, summaries: two, choice: 0, batch: "cnndm0", ...rest }
    ]
    const lines = [
      { info: reddit, summaries: two, choice: 1, batch: "batch9", ...rest },
      { info: article, summaries: two, choice: 0, batch: "cnndm0", ...rest }
    ]
    // By hand from `to_preference` of trl's examples/datasets/tldr_preference.py.
    const expected = [
      {
        prompt: "SUBREDDIT: r/legaladvice\n\nTITLE: Why?\n\nPOST: One\ntwo\n\nthree\n\nTL;DR:",
        chosen: " second",
        rejected: " first"
      },
      { prompt: "TITLE: News\n\nOne\ntwo\n\nTL;DR:", chosen: " first", rejected: " second" }
    ]
    for (const rows of [tables, lines]) {
      assert.isTrue(rows.every(Schema.is(TldrRow)))
      assert.deepStrictEqual(all("tldr", rows).pairs.map(contentOf), expected)
    }
    assert.deepStrictEqual(all("tldr", expected).pairs.map(contentOf), expected)
    // CarperAI's prompts end with the post, its summaries begin with the mark.
    const marked = {
      prompt: "SUBREDDIT: r/legaladvice\nTITLE: Why?\nPOST: One",
      chosen: "TL;DR: second",
      rejected: "TL;DR: first"
    }
    assert.deepStrictEqual(all("tldr", [marked]).pairs.map(contentOf), [
      { prompt: `${marked.prompt}\n\nTL;DR:`, chosen: " second", rejected: " first" }
    ])
  })

  it("fits the row schemas", () => {
    assert.isTrue(Schema.is(TldrRow)({ info, summaries, choice: 1 }))
    assert.isTrue(Schema.is(PlainRow)({ prompt, chosen: "a", rejected: "b" }))
  })

  it("says what a row lacks", () => {
    assert.strictEqual(
      failure("tldr", { info, summaries, choice: 2 }),
      `f, row 0, field "choice": is 2, neither 0 nor 1`
    )
    assert.strictEqual(
      failure("tldr", { info, summaries: summaries.slice(1), choice: 0 }),
      `f, row 0, field "summaries": are not two`
    )
    assert.strictEqual(
      failure("tldr", { info: { ...info, subreddit: null }, summaries, choice: 0 }),
      `f, row 0, field "info.subreddit": is no text`
    )
  })
})

describe("sharegpt", () => {
  it("takes real rows apart: several turns, system turns", () => {
    const { dropped, noted, pairs } = all("sharegpt", preferences.map(({ row }) => row))
    assert.deepStrictEqual([dropped, pairs.length, noted["turns do not alternate"]], [{}, 40, undefined])
    const roles = { human: "user", gpt: "assistant", system: "system" } as Record<string, string>
    for (const [index, { row }] of preferences.entries()) {
      const turn = ({ from, value }: { readonly from: string; readonly value: string }) => ({
        role: roles[from]!,
        content: value
      })
      const { chosen, rejected } = row as { readonly chosen: any; readonly rejected: any }
      assert.deepStrictEqual(contentOf(pairs[index]!), {
        prompt: row.conversations.map(turn),
        chosen: [turn(chosen)],
        rejected: [turn(rejected)]
      })
    }
    assert.strictEqual(pairs.filter(({ prompt }) => (prompt as Messages)[0]!.role === "system").length, 10)
  })

  it("reads calls, their results, tools and a system turn of its own", () => {
    const tools = [{ name: "add", parameters: {} }]
    const row = {
      system: "Be exact.",
      tools: JSON.stringify(tools),
      conversations: [{ from: "human", value: "2+2?" }],
      chosen: [
        { from: "function_call", value: `{"name":"add","arguments":{"a":2,"b":2}}` },
        { from: "observation", value: "4" },
        { from: "gpt", value: "4" }
      ],
      rejected: { from: "gpt", value: "5" }
    }
    const { pairs } = all("sharegpt", [row])
    assert.deepStrictEqual(pairs[0]!.tools, tools)
    assert.deepStrictEqual<unknown>(contentOf(pairs[0]!), {
      prompt: [{ role: "system", content: "Be exact." }, user("2+2?")],
      chosen: [
        {
          role: "assistant",
          content: "",
          tool_calls: [{ type: "function", function: { name: "add", arguments: { a: 2, b: 2 } } }]
        },
        { role: "tool", content: "4" },
        assistant("4")
      ],
      rejected: [assistant("5")]
    })
    const bad = (chosen: unknown) => failure("sharegpt", { ...row, chosen })
    assert.include(bad({ from: "robot", value: "x" }), `field "chosen.from": is "robot", not one of human`)
    assert.include(bad([{ from: "gpt" }]), `field "chosen.0": is no turn with "from" and "value", both text`)
    assert.include(bad({ from: "function_call", value: "add(" }), `field "chosen.value": is no JSON of a function call`)
    assert.include(failure("sharegpt", { ...row, tools: "{" }), `field "tools": is no list of tools`)
  })
})

describe("unpaired", () => {
  it("takes real rows apart: the last turn of the assistant is the answer", () => {
    const { dropped, pairs } = all("unpaired", liked.map(({ row }) => row))
    assert.deepStrictEqual(dropped, {})
    for (const [index, { row }] of liked.entries()) {
      assert.deepStrictEqual(contentOf(pairs[index]!), {
        prompt: row.messages.slice(0, -1).map(({ content, role }) => ({ role, content })),
        answer: row.messages.slice(-1).map(({ content, role }) => ({ role, content }))
      })
      assert.deepStrictEqual(pairs[index]!.columns, { label: row.label ? 1 : 0 })
    }
    assert.strictEqual(pairs.filter(({ columns }) => columns["label"] === 1).length, 20)
  })

  it("takes prompt and completion, and labels by other names", () => {
    const { dropped, pairs } = all("unpaired", [
      { prompt: "q", completion: " a", label: true },
      { prompt: [user("q")], completion: [assistant("a")], label: false },
      { conversations: [{ from: "human", value: "q" }, { from: "gpt", value: "a" }], kto_tag: true },
      { prompt: "q", completion: " ", label: true },
      { messages: [user("q")], label: true }
    ])
    assert.deepStrictEqual(pairs.map(contentOf), [
      { prompt: "q", answer: " a" },
      { prompt: [user("q")], answer: [assistant("a")] },
      { prompt: [user("q")], answer: [assistant("a")] }
    ])
    assert.deepStrictEqual(pairs.map(({ columns }) => columns), [{ label: 1 }, { label: 0 }, { label: 1 }])
    assert.deepStrictEqual(dropped, { "answer is blank": ["3"], "no assistant turn": ["4"] })
    assert.strictEqual(
      failure("unpaired", { prompt: "q", completion: "a", label: "yes" }),
      `f, row 0, field "label": is "yes", neither true nor false`
    )
  })
})

describe("implicit", () => {
  it("finds the prompt of conversations by turns", () => {
    const rows = preferences.map(({ row }) => row)
    const explicit = all("sharegpt", rows).pairs.map(contentOf)
    const whole = explicit.map(({ prompt, ...answers }) => ({
      chosen: [...prompt as Messages, ...answers["chosen"] as Messages],
      rejected: [...prompt as Messages, ...answers["rejected"] as Messages]
    }))
    assert.deepStrictEqual(all("implicit", whole).pairs.map(contentOf), explicit)
    const { dropped } = all("implicit", [
      { chosen: [user("q"), assistant("a")], rejected: [user("r"), assistant("b")] },
      { chosen: [user("q")], rejected: [user("q"), assistant("b")] }
    ])
    assert.deepStrictEqual(dropped, { "prompts differ": ["0"], "no assistant turn": ["1"] })
  })

  it("gives the shared words of texts, never a part of one, and says that the tokens decide", () => {
    const { pairs } = all("implicit", [
      { chosen: "Q: why? A: because of it", rejected: "Q: why? A: become one" },
      { chosen: "abc", rejected: "abd" }
    ])
    assert.deepStrictEqual(pairs.map(contentOf), [
      { prompt: "Q: why? A:", chosen: " because of it", rejected: " become one" },
      { prompt: "", chosen: "abc", rejected: "abd" }
    ])
    for (const pair of pairs) assert.isTrue("implicit" in pair && pair.implicit)
  })

  it("drops equal texts", () => {
    assert.deepStrictEqual(all("implicit", [{ chosen: "a b", rejected: "a b" }]).dropped, { "chosen is blank": ["0"] })
  })
})

describe("messages as Arrow writes them", () => {
  it("have null where a field is not there, and calls as JSON text", () => {
    const call = { type: "function", function: { name: "f", arguments: {} } }
    const { pairs } = all("plain", [{
      prompt: [{ role: "user", content: "q", name: null, tool_calls: null }],
      chosen: [{ role: "assistant", content: null, tool_calls: JSON.stringify([call]) }],
      rejected: [{ role: "assistant", content: "b", tool_calls: null }],
      tools: null
    }])
    assert.deepStrictEqual<unknown>(contentOf(pairs[0]!), {
      prompt: [user("q")],
      chosen: [{ role: "assistant", content: "", tool_calls: [call] }],
      rejected: [assistant("b")]
    })
    assert.include(
      failure("plain", { prompt: [user("q")], chosen: [{ role: "assistant", content: null }], rejected: "b" }),
      `field "chosen.0": is no message with a role and a content`
    )
  })
})
