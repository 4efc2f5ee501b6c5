import { jsonFault } from "@penchant/runtime/data/jsonFault"
import { extensions, inlineRows, readRows } from "@penchant/runtime/data/rows"
import { splitFiles } from "@penchant/runtime/data/splitFiles"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { afterAll, assert, describe, it } from "vitest"

const directory = mkdtempSync(join(tmpdir(), "rows-"))
afterAll(() => rmSync(directory, { recursive: true }))
const write = (name: string, content: string | Uint8Array): string => {
  const path = join(directory, name)
  writeFileSync(path, content)
  return path
}
const read = <R>(path: string, schema?: Schema.Codec<R>) => Effect.runPromise(readRows(path, schema))
const failure = async (path: string, schema?: Schema.Codec<unknown>) => {
  const result = await Effect.runPromise(Effect.result(readRows(path, schema)))
  if (Result.isSuccess(result)) throw new Error("read")
  assert.include(result.failure.message, path)
  const { _tag, ...fields } = result.failure
  assert.strictEqual(fields.file, path)
  return {
    _tag,
    ...(_tag === "BadRow" ? { row: (fields as { row: string }).row } : {}),
    ...("field" in fields ? { field: fields.field } : {}),
    problem: fields.problem
  }
}

const rows = [{ a: 1, text: "é\u2028 \ud83d\ude00" }, { a: 2, text: "x" }, { a: 3, text: "" }]
const expected = rows.map((row, index) => ({ id: String(index), row }))
const lines = rows.map((row) => JSON.stringify(row)).join("\n")

describe("readRows", () => {
  it.each([
    ["rows.jsonl", lines],
    ["final.jsonl", `${lines}\n`],
    ["windows.jsonl", lines.replaceAll("\n", "\r\n")],
    ["mark.jsonl", `\ufeff${lines}`],
    ["blank.jsonl", lines.replaceAll("\n", "\n\n  \n")],
    ["rows.json", JSON.stringify(rows, undefined, 2)],
    ["rows.jsonl.gz", gzipSync(lines)],
    ["rows.json.gz", gzipSync(JSON.stringify(rows))],
    ["members.jsonl.gz", Buffer.concat([gzipSync(lines.slice(0, 20)), gzipSync(lines.slice(20))])]
  ])("reads %s", async (name, content) => assert.deepStrictEqual(await read(write(name, content)), expected))

  it("reads across chunk borders, in characters of several bytes", async () => {
    const many = Array.from({ length: 40_000 }, (_, index) => ({ index, text: "€😀".repeat(index % 13) }))
    const text = many.map((row) => JSON.stringify(row)).join("\n")
    for (const path of [write("many.jsonl", text), write("many.jsonl.gz", gzipSync(text))]) {
      const found = await read(path)
      assert.deepStrictEqual(found.map(({ row }) => row), many)
      assert.strictEqual(found.at(-1)!.id, "39999")
    }
  })

  it("checks every row against a schema and keeps what it decodes to", async () => {
    const Numbered = Schema.Struct({ a: Schema.FiniteFromString })
    const path = write("schema.jsonl", `{"a":"1","b":2}\n{"a":"2"}`)
    assert.deepStrictEqual(await Effect.runPromise(readRows(path, Numbered)), [{ id: "0", row: { a: 1 } }, {
      id: "1",
      row: { a: 2 }
    }])
  })

  it("names row, field and problem", async () => {
    const Nested = Schema.Struct({ a: Schema.Finite, b: Schema.Array(Schema.Struct({ c: Schema.String })) })
    const bad = (line: string) => failure(write("field.jsonl", `{"a":1,"b":[]}\n${line}`), Nested)
    assert.deepStrictEqual(await bad(`{"a":"x","b":[]}`), {
      _tag: "BadRow",
      row: "1",
      field: "a",
      problem: `Expected number, got "x"`
    })
    assert.deepStrictEqual(await bad(`{"b":[]}`), { _tag: "BadRow", row: "1", field: "a", problem: "Missing key" })
    assert.deepStrictEqual(await bad(`{"a":1,"b":[{"c":"y"},{"c":null}]}`), {
      _tag: "BadRow",
      row: "1",
      field: "b.1.c",
      problem: "Expected string, got null"
    })
  })

  it("says where JSON is malformed", async () => {
    assert.deepStrictEqual(await failure(write("bad.jsonl", `{"a":1}\n\n{"a":1,}`)), {
      _tag: "BadRow",
      row: "1",
      problem: `malformed JSON at line 3, column 8: unexpected "}"`
    })
    assert.deepStrictEqual(await failure(write("short.jsonl", `{"a":1}\n{"a":"x`)), {
      _tag: "BadRow",
      row: "1",
      problem: "malformed JSON at line 2, column 8: the text ends too early"
    })
    assert.deepStrictEqual(await failure(write("bad.json", `[{"a":1},\n {"a":[1,2],"b":3},\n {"a":tru}]`)), {
      _tag: "BadRow",
      row: "2",
      problem: `malformed JSON at line 3, column 10: unexpected "}"`
    })
  })

  it("refuses rows that are no objects", async () => {
    assert.deepStrictEqual(await failure(write("list.jsonl", `{}\n[1]`)), {
      _tag: "BadRow",
      row: "1",
      problem: "is a list, not an object"
    })
    assert.deepStrictEqual(await failure(write("null.json", `[null]`)), {
      _tag: "BadRow",
      row: "0",
      problem: "is null, not an object"
    })
    assert.deepStrictEqual(await failure(write("text.jsonl", `"a"`)), {
      _tag: "BadRow",
      row: "0",
      problem: "is a string, not an object"
    })
  })

  const whole = gzipSync(lines)
  it.each<[string, () => string, string]>([
    ["a missing file", () => join(directory, "none.jsonl"), "no such file"],
    ["a missing gzip file", () => join(directory, "none.jsonl.gz"), "no such file"],
    ["a directory", () => {
      mkdirSync(join(directory, "d.jsonl"))
      return join(directory, "d.jsonl")
    }, "is a directory, not a file"],
    ["an unknown ending", () => write("rows.txt", "a"), "unknown format"],
    ["no gzip", () => write("plain.jsonl.gz", lines), "not gzip, although its name ends in .gz"],
    ["unannounced gzip", () => write("zipped.jsonl", whole), "gzip, although its name does not end in .gz"],
    [
      "a truncated gzip",
      () => write("cut.jsonl.gz", whole.subarray(0, whole.length - 9)),
      "truncated gzip: the data ends before the stream does"
    ],
    ["an empty gzip", () => write("empty.jsonl.gz", ""), "truncated gzip: the file is empty"],
    [
      "a corrupt gzip",
      () => write("corrupt.jsonl.gz", whole.with(whole.length - 5, whole.at(-5)! ^ 1)),
      "corrupt gzip: incorrect data check"
    ],
    [
      "bytes that are not UTF-8",
      () => write("latin.jsonl", Uint8Array.of(0x7b, 0x22, 0xe9, 0x22, 0x7d)),
      "not UTF-8 text"
    ],
    ["an empty file", () => write("empty.jsonl", "\n"), "holds no rows"],
    ["an empty list", () => write("empty.json", "[]"), "holds no rows"],
    ["an object for a list", () => write("object.json", "{}"), "holds an object, not a list of rows"]
  ])(
    "refuses %s",
    async (_, path, problem) => assert.deepStrictEqual(await failure(path()), { _tag: "BadFile", problem })
  )

  it.skipIf(process.getuid?.() === 0)("refuses a file it may not read", async () => {
    const path = write("secret.jsonl", lines)
    chmodSync(path, 0)
    assert.deepStrictEqual(await failure(path), { _tag: "BadFile", problem: "not readable by this user" })
  })

  it("checks inline rows in the same way", () => {
    const Row = Schema.Struct({ a: Schema.Finite })
    assert.deepStrictEqual(Result.getOrThrow(inlineRows([{ a: 1 }], Row)), [{ id: "0", row: { a: 1 } }])
    const bad = inlineRows([{ a: 1 }, { a: NaN }], Row)
    assert.isTrue(Result.isFailure(bad) && bad.failure.row === "1" && bad.failure.field === "a")
  })
})

describe("jsonFault", () => {
  it.each([
    ["", 0],
    ["{", 1],
    ["[1,2", 4],
    ["[1 2]", 3],
    ["[1,]", 3],
    ["{\"a\" 1}", 5],
    ["{a:1}", 1],
    ["{\"a\":01}", 6],
    ["{\"a\":-}", 6],
    ["[1]]", 3],
    ["[}", 1],
    ["{\"a\":\"\\x\"}", 7],
    ["{\"a\":\"\\u12g4\"}", 10],
    ["\"tab\t\"", 4],
    ["nul", 3],
    ["{\"a\":NaN}", 5],
    ["[".repeat(100_000), 100_000]
  ])("finds the fault of %#", (text, at) => {
    assert.throws(() => JSON.parse(text))
    assert.strictEqual(jsonFault(text).at, at)
  })

  it("agrees with JSON.parse where that says a position", () => {
    const text = JSON.stringify({ a: [1, -2.5e3, true, null, { b: "x\\\"\u00e9" }], c: {} })
    for (let at = 0; at < text.length; at++) {
      for (
        const broken of [
          text.slice(0, at),
          `${text.slice(0, at)}}${text.slice(at + 1)}`,
          `${text.slice(0, at)};${text.slice(at)}`
        ]
      ) {
        try {
          JSON.parse(broken)
        } catch (error) {
          const said = /at position (\d+)/.exec(String(error))
          if (said !== null) assert.strictEqual(jsonFault(broken).at, Number(said[1]), broken)
          else assert.isAtMost(jsonFault(broken).at, broken.length)
        }
      }
    }
  })
})

describe("CSV rows", () => {
  const csv = `prompt,chosen,rejected,score\r\n"a, ""b""\nc",é\u2028,,1.5\r\n\r\nx,y,z,2\n`

  it.each([["rows.csv", csv], ["rows.csv.gz", gzipSync(csv)], ["mark.csv", `\ufeff${csv}`]])(
    "reads %s",
    async (name, content) => {
      assert.deepStrictEqual(await read(write(name, content)), [
        { id: "0", row: { prompt: `a, "b"\nc`, chosen: "é\u2028", rejected: "", score: "1.5" } },
        { id: "1", row: { prompt: "x", chosen: "y", rejected: "z", score: "2" } }
      ])
    }
  )

  it("has numbers where the schema reads them", async () => {
    const Scored = Schema.Struct({ prompt: Schema.String, score: Schema.FiniteFromString })
    const rows = await Effect.runPromise(readRows(write("scored.csv", csv), Scored))
    assert.deepStrictEqual(rows.map(({ row }) => row.score), [1.5, 2])
  })

  it.each([
    ["an open quote", `a,b\n1,2\n"3,4\n`, "BadRow", /^malformed CSV: Quote Not Closed/],
    ["a field too many", "a,b\n1,2\n3,4,5\n", "BadRow", /^malformed CSV: Invalid Record Length: .*line 3/],
    ["a quote inside a field", `a,b\n1,2\n3,"4"5\n`, "BadRow", /^malformed CSV: Invalid Closing Quote/],
    ["a header alone", "a,b\n", "BadFile", /^holds no rows$/],
    ["two columns of one name", "a,a\n1,2\n", "BadFile", /^two columns are called "a"$/],
    ["bytes that are no text", Buffer.from([0x61, 0x0a, 0xff, 0xfe]), "BadFile", /^not UTF-8 text$/]
  ])("refuses %s", async (_, content, tag, problem) => {
    const found = await failure(write("bad.csv", content))
    assert.strictEqual(found._tag, tag)
    assert.match(found.problem, problem)
    if (tag === "BadRow") assert.strictEqual(found.row, "1")
  })
})

describe("splitFiles", () => {
  it("finds a split by the names that the Hub's data sets use", () => {
    const find = (split: string, names: ReadonlyArray<string>, dir?: string) =>
      splitFiles(names, { split, dir }, extensions)
    const hh = ["helpful-base", "harmless-base"].flatMap((dir) => [`${dir}/train.jsonl.gz`, `${dir}/test.jsonl.gz`])
    const red = [...hh, "red-team-attempts/red_team_attempts.jsonl.gz", "README.md"]
    assert.deepStrictEqual(find("train", red), ["harmless-base/train.jsonl.gz", "helpful-base/train.jsonl.gz"])
    assert.deepStrictEqual(find("test", red, "helpful-base"), ["helpful-base/test.jsonl.gz"])
    const parquet = ["train_prefs", "train_sft", "test_prefs"].flatMap((split) =>
      [1, 0].map((shard) => `data/${split}-0000${shard}-of-00002.parquet`)
    )
    assert.deepStrictEqual(find("train_prefs", parquet), [parquet[1]!, parquet[0]!])
    assert.deepStrictEqual(find("train", parquet), [])
    const carper = ["valid1", "valid2"].map((split) => `data/${split}-00000-of-00001-b647616a2be5f333.parquet`)
    assert.deepStrictEqual(find("valid1", carper), [carper[0]!])
    assert.deepStrictEqual(find("train", ["train/a.json", "train.parquet", "train-notes.txt", "trainer.csv"]), [
      "train.parquet",
      "train/a.json"
    ])
  })
})
