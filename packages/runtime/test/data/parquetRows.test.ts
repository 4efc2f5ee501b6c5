// Against what pyarrow reads of the format's own test files, and on damage that no reader may pass on as rows.
import { rowBatches, typed } from "@penchant/runtime/data/rows"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"
import { afterAll, assert, describe, it } from "vitest"
import { reference } from "./hh.ts"

const directory = mkdtempSync(join(tmpdir(), "parquet-"))
afterAll(() => rmSync(directory, { recursive: true }))
const folder = reference("parquet")
const prefs = join(folder, "test_prefs-00000-of-00001.parquet")

const batches = (file: string, schema?: Schema.Codec<any>) =>
  typed(async (signal) => {
    const all: Array<ReadonlyArray<{ readonly id: string; readonly row: any }>> = []
    for await (const batch of rowBatches([file], schema, signal)) all.push(batch)
    return all
  })
const read = async (file: string, schema?: Schema.Codec<any>) => (await Effect.runPromise(batches(file, schema))).flat()
const failure = async (file: string, schema?: Schema.Codec<any>) => {
  const result = await Effect.runPromise(Effect.result(batches(file, schema)))
  if (Result.isSuccess(result)) throw new Error("read")
  assert.include(result.failure.message, file)
  return `${result.failure._tag} ${result.failure.message.slice(result.failure.message.indexOf(file) + file.length)}`
}

const expected: Record<string, Array<Record<string, any>>> = JSON.parse(
  gunzipSync(readFileSync(join(folder, "expected.json.gz"))).toString()
)

describe("parquet rows", () => {
  it("are what pyarrow reads, in every encoding, codec and nesting", async () => {
    // A list that is written as a bare repeated field: hyparquet cannot tell an empty one from none.
    const bare = expected["repeated_primitive_no_list.parquet"]![1]!
    bare["Int32_list"] = null
    bare["group_of_lists"]["Int32_list_in_group"] = null
    assert.strictEqual(Object.keys(expected).length, 19)
    for (const [name, rows] of Object.entries(expected)) {
      assert.deepStrictEqual((await read(join(folder, name))).map(({ row }) => row), rows, name)
    }
  })

  it("come one row group at a time, numbered through", async () => {
    const groups = await Effect.runPromise(batches(prefs))
    assert.deepStrictEqual(groups.map((group) => group.length), [20, 20, 20, 1])
    assert.deepStrictEqual(groups.flat().map(({ id }) => id), Array.from({ length: 61 }, (_, i) => String(i)))
    const { row } = groups[0]![0]!
    assert.deepStrictEqual(Object.keys(row), [
      "prompt",
      "prompt_id",
      "chosen",
      "rejected",
      "messages",
      "score_chosen",
      "score_rejected"
    ])
    assert.deepStrictEqual(row.chosen[0], { content: row.prompt, role: "user" })
    assert.deepStrictEqual([row.chosen.length, row.score_chosen, row.score_rejected], [2, 1, 0])
  })

  it("hold only the columns of the schema", async () => {
    const Scores = Schema.Struct({ score_chosen: Schema.Finite, prompt_id: Schema.String })
    const rows = await read(prefs, Scores)
    assert.deepStrictEqual(Object.keys(rows[60]!.row).toSorted(), ["prompt_id", "score_chosen"])
    assert.include(await failure(prefs, Schema.Struct({ none: Schema.String })), `row 0, field "none": Missing key`)
    assert.include(
      await failure(prefs, Schema.Struct({ prompt: Schema.Finite })),
      `BadRow , row 0, field "prompt": Expected number, got "`
    )
  })

  it("are refused where JSON has no place for a value", async () => {
    assert.strictEqual(
      await failure(join(folder, "float16_nonzeros_and_nans.parquet")),
      `BadRow , row 3, field "x": is NaN`
    )
    assert.strictEqual(
      await failure(join(folder, "nested_structs.rust.parquet")),
      `BadRow , row 0, field "roll_num.sum": is 94251302258849568, more than a number holds exactly`
    )
  })

  it("are refused from every corrupt file", async () => {
    const names = readdirSync(join(folder, "bad"))
    assert.strictEqual(names.length, 2)
    for (const name of names) {
      assert.match(await failure(join(folder, "bad", name)), /^BadFile : (not a readable Parquet file|damaged): /)
    }
    const bytes = readFileSync(prefs)
    const write = (content: Uint8Array): string => {
      const file = join(directory, "cut.parquet")
      writeFileSync(file, content)
      return file
    }
    for (const length of [0, 3, 11, 1000, bytes.length - 1]) {
      assert.match(
        await failure(write(bytes.subarray(0, length))),
        /^BadFile : not a readable Parquet file: its footer/
      )
    }
    // The footer is whole and says more than is there.
    assert.match(
      await failure(write(Buffer.concat([bytes.subarray(0, 4), bytes.subarray(20_000)]))),
      /^BadFile : not a readable Parquet file/
    )
    // One bit of a page, which only its checksum shows.
    const flipped = Buffer.from(bytes)
    flipped[5000]! ^= 1
    assert.match(
      await failure(write(flipped)),
      /^BadFile : damaged: column [a-z.]+: page \d does not match its checksum/
    )
    assert.match(await failure(join(directory, "none.parquet")), /^BadFile : no such file/)
  })
})
