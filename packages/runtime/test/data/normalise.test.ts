import { HhRow } from "@penchant/dsl/Dataset"
import type { BadRow } from "@penchant/dsl/Errors"
import { answersOf, type Example } from "@penchant/dsl/Pair"
import { normalise } from "@penchant/runtime/data/normalisers"
import { readRows } from "@penchant/runtime/data/rows"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { assert, describe, it } from "vitest"
import { file, normalised, rows } from "./hh.ts"

const of = (...values: ReadonlyArray<unknown>) => values.map((row, index) => ({ id: String(index), row }))
const failure = <A>(result: Result.Result<A, BadRow>) => {
  if (Result.isSuccess(result)) throw new Error("no failure")
  return result.failure.message
}
const side = (example: Example | undefined, name: string) => new Map<string, unknown>(answersOf(example!)).get(name)
const user = (content: string) => ({ role: "user", content })
const assistant = (content: string) => ({ role: "assistant", content })
const system = (content: string) => ({ role: "system", content })

describe("normalise hh", () => {
  it("finds every known defect of the file that ships", () => {
    assert.strictEqual(rows.length, 2312)
    assert.deepStrictEqual(normalised.dropped, {
      "chosen is blank": ["86", "516", "925", "1103"],
      "prompts differ": ["1254", "1688", "1950", "1952", "2036"]
    })
    assert.deepStrictEqual(normalised.noted, {
      "turns do not alternate": ["667", "763", "1254", "1319", "1688", "1849", "1950", "1952", "2036"],
      "prompt seen before": ["1452", "1483"]
    })
    assert.strictEqual(normalised.pairs.length, 2303)
  })

  it("cuts every row at the last turn of the assistant and loses no character", () => {
    for (const { chosen, id, prompt, rejected } of normalised.pairs) {
      const row = rows[Number(id)]!.row as HhRow
      assert.strictEqual(`${String(prompt)}${String(chosen)}`, row.chosen)
      assert.strictEqual(`${String(prompt)}${String(rejected)}`, row.rejected)
      assert.isTrue(String(prompt).endsWith("\n\nAssistant:"))
      assert.notInclude(`${String(chosen)}${String(rejected)}`, "\n\nAssistant:")
    }
  })

  it("agrees with the schema of the language", async () => {
    assert.deepStrictEqual(await Effect.runPromise(readRows(file, HhRow)), rows)
  })

  it("keeps the answer's leading space and the whole conversation in the prompt", () => {
    const chosen = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d "
    const { pairs } = Result.getOrThrow(normalise("hh", of({ chosen, rejected: chosen.replace(" d ", "e") })))
    assert.deepStrictEqual(pairs, [{
      id: "0",
      prompt: "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:",
      chosen: " d ",
      rejected: "e",
      columns: {}
    }])
  })

  it("drops each useless row once, and notes the odd", () => {
    const t = (answer: string, prompt = "\n\nHuman: a\n\nAssistant:") => prompt + answer
    const result = Result.getOrThrow(normalise(
      "hh",
      of(
        { chosen: t("x"), rejected: t("y") },
        { chosen: t("x"), rejected: t(" \n") },
        { chosen: t(""), rejected: t("") },
        { chosen: t("x"), rejected: t("x") },
        { chosen: "no turn", rejected: t("x") },
        { chosen: t("x"), rejected: t("y", "\n\nHuman: b\n\nAssistant:") },
        { chosen: t("x"), rejected: t("y") },
        { chosen: t("x"), rejected: t("z") }
      )
    ))
    assert.deepStrictEqual(result.pairs.map(({ id }) => id), ["0", "6", "7"])
    assert.deepStrictEqual(result.dropped, {
      "rejected is blank": ["1"],
      "chosen is blank": ["2"],
      "chosen equals rejected": ["3"],
      "no assistant turn": ["4"],
      "prompts differ": ["5"]
    })
    assert.deepStrictEqual(result.noted, { "prompt seen before": ["6", "7"], "pair seen before": ["6"] })
  })

  it("fails on the first useless row when asked", () => {
    assert.strictEqual(
      failure(normalise("hh", rows, { file: "test.jsonl.gz", onBadRow: "fail" })),
      "test.jsonl.gz, row 86: chosen is blank"
    )
  })

  it("fails on a missing field whatever is asked", () => {
    const good = { chosen: "\n\nAssistant: a", rejected: "\n\nAssistant: b" }
    assert.strictEqual(failure(normalise("hh", of(good, { rejected: "x" }))), `rows, row 1, field "chosen": is missing`)
    assert.strictEqual(failure(normalise("hh", of({ chosen: "x" }))), `rows, row 0, field "rejected": is missing`)
    assert.strictEqual(
      failure(normalise("hh", of({ chosen: 3, rejected: "x" }))),
      `rows, row 0, field "chosen": is 3, not text`
    )
    assert.strictEqual(failure(normalise("hh", of(null))), `rows, row 0: is no object`)
  })
})

describe("normalise plain", () => {
  it("takes text and numeric columns as they are", () => {
    const row = { prompt: "p", chosen: "a", rejected: "b", margin: 0.5, weight: 2, other: "x" }
    assert.deepStrictEqual(Result.getOrThrow(normalise("plain", of(row), { columns: ["margin", "weight"] })).pairs, [
      { id: "0", prompt: "p", chosen: "a", rejected: "b", columns: { margin: 0.5, weight: 2 } }
    ])
  })

  it("takes messages, with the prompt apart, repeated, or as text", () => {
    const prompt = [system("s"), user("q")]
    const expected = { prompt, chosen: [assistant("a")], rejected: [assistant("b")] }
    const { pairs } = Result.getOrThrow(normalise(
      "plain",
      of(
        { prompt, chosen: [assistant("a")], rejected: [assistant("b")] },
        { prompt, chosen: [...prompt, assistant("a")], rejected: [...prompt, assistant("b")] },
        { prompt: "q", chosen: [...prompt, assistant("a")], rejected: [...prompt, assistant("b")] },
        { prompt, chosen: "a", rejected: [assistant("b")] }
      )
    ))
    for (const { columns: _, id: __, ...content } of pairs) assert.deepStrictEqual<unknown>(content, expected)
    assert.strictEqual(pairs.length, 4)
    const text = Result.getOrThrow(normalise("plain", of({ prompt: "q", chosen: [assistant("a")], rejected: "b" })))
      .pairs[0]!
    assert.deepStrictEqual(text.prompt, [user("q")])
    assert.deepStrictEqual(side(text, "rejected"), [assistant("b")])
  })

  it("keeps tool calls of an answer in the answer", () => {
    const answer = [assistant("call"), { role: "tool", content: "4" }, assistant("four")]
    const row = { prompt: [user("2+2?")], chosen: [user("2+2?"), ...answer], rejected: [user("2+2?"), assistant("5")] }
    const { noted, pairs } = Result.getOrThrow(normalise("plain", of(row)))
    assert.deepStrictEqual(side(pairs[0], "chosen"), answer)
    assert.deepStrictEqual(noted, {})
  })

  it("drops what cannot be compared and notes the odd", () => {
    const { dropped, noted, pairs } = Result.getOrThrow(normalise(
      "plain",
      of(
        { prompt: "p", chosen: "a", rejected: "a" },
        { prompt: "p", chosen: [assistant(" ")], rejected: "b" },
        { prompt: "p", chosen: [user("p"), assistant("a")], rejected: [user("r"), assistant("b")] },
        { prompt: [user("p")], chosen: [user("x"), assistant("a")], rejected: [user("x"), assistant("b")] },
        { prompt: " ", chosen: "a", rejected: "b" },
        { prompt: [user("p"), user("p")], chosen: "a", rejected: "b" },
        { prompt: [user("p"), assistant("p")], chosen: "a", rejected: "b" }
      )
    ))
    assert.deepStrictEqual(dropped, {
      "chosen equals rejected": ["0"],
      "chosen is blank": ["1"],
      "prompts differ": ["2", "3"]
    })
    assert.deepStrictEqual(noted, { "prompt is blank": ["4"], "turns do not alternate": ["5", "6"] })
    assert.strictEqual(pairs.length, 3)
  })

  it("names field and problem of a row that lacks something", () => {
    const good = { prompt: "p", chosen: "a", rejected: "b" }
    const bad = (row: object, columns: ReadonlyArray<string> = []) =>
      failure(normalise("plain", of(good, row), { file: "f", columns }))
    const { chosen: _, ...without } = good
    assert.strictEqual(bad(without), `f, row 1, field "chosen": is missing`)
    assert.strictEqual(
      bad({ ...good, prompt: 1 }),
      `f, row 1, field "prompt": is 1, neither text nor a list of messages`
    )
    assert.strictEqual(
      bad({ ...good, rejected: [assistant("x"), { role: "user" }] }),
      `f, row 1, field "rejected.1": is no message with a role and a content, both text`
    )
    const columns = (value: unknown) =>
      failure(normalise("plain", of({ ...good, margin: value }), { columns: ["margin"] }))
    assert.strictEqual(columns(undefined), `rows, row 0, field "margin": is missing`)
    assert.strictEqual(columns("1"), `rows, row 0, field "margin": is "1", not a finite number`)
    assert.strictEqual(columns(null), `rows, row 0, field "margin": is missing`)
    assert.strictEqual(
      failure(normalise("plain", of({ ...good, rejected: "a" }), { onBadRow: "fail" })),
      "rows, row 0: chosen equals rejected"
    )
  })
})
