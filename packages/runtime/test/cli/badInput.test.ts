// Bad input, each a typed error that names file and row or field, exit 1, and never a stack trace.
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { gzipSync } from "node:zlib"
import { document, folder, jsonl, model, pipeline } from "./command.ts"

interface Case {
  readonly name: string
  readonly pipeline: string
  readonly expected: ReadonlyArray<RegExp>
}

describe("bad input", () => {
  const { close, directory, run, write } = folder()
  afterAll(close)

  const brokenModel = (name: string, change: (at: string) => void): string => {
    const at = path.join(directory, name)
    fs.cpSync(model, at, { recursive: true })
    change(at)
    return name
  }
  const editConfig = (edit: (config: Record<string, unknown>) => void) => (at: string): void => {
    const file = path.join(at, "config.json")
    const config = JSON.parse(fs.readFileSync(file, "utf8")) as Record<string, unknown>
    edit(config)
    fs.writeFileSync(file, JSON.stringify(config))
  }
  const editWeights = (edit: (bytes: Buffer, headerLength: number) => void) => (at: string): void => {
    const file = path.join(at, "model.safetensors")
    const bytes = fs.readFileSync(file)
    edit(bytes, Number(bytes.readBigUInt64LE(0)))
    fs.writeFileSync(file, bytes)
  }

  beforeAll(() => {
    write("rows.jsonl", jsonl)
    write("cut.jsonl.gz", gzipSync(jsonl.repeat(50)).subarray(0, 60))
    write("torn.jsonl", `${jsonl.split("\n").slice(0, 2).join("\n")}\n{"prompt": "a", "chosen": \n`)
    write("lacking.jsonl", `${jsonl}{"prompt": "a", "rejected": "b"}\n`)
    write("long.jsonl", `${jsonl}${JSON.stringify({ prompt: "dog ".repeat(200), chosen: " a", rejected: " b" })}\n`)
    write("blank.jsonl", jsonl.replace(/"chosen":"[^"]*"/, "\"chosen\":\" \""))
    write("empty.ts", "export const nothing = 1\n")
  })

  const cases: ReadonlyArray<() => Case> = [
    () => ({
      name: "a missing file",
      pipeline: pipeline({ file: "none.jsonl" }),
      expected: [/BadFile: .*none\.jsonl/, /no such file/]
    }),
    () => ({
      name: "a truncated gzip",
      pipeline: pipeline({ file: "cut.jsonl.gz" }),
      expected: [/cut\.jsonl\.gz/, /truncated|unexpected end/i]
    }),
    () => ({
      name: "a malformed line",
      pipeline: pipeline({ file: "torn.jsonl" }),
      expected: [/BadRow: .*torn\.jsonl, row 2/]
    }),
    () => ({
      name: "a row without chosen",
      pipeline: pipeline({ file: "lacking.jsonl" }),
      expected: [/BadRow: .*lacking\.jsonl, row 6.*chosen/]
    }),
    () => ({
      name: "a pair that is too long, under fail",
      pipeline: pipeline({ file: "long.jsonl", truncation: "fail" }),
      expected: [/BadTokens: row 6: /]
    }),
    () => ({
      name: "an architecture that nobody knows",
      pipeline: pipeline({
        from: brokenModel("strange", editConfig((config) => (config["architectures"] = ["MambaForCausalLM"])))
      }),
      expected: [/BadModel: .*strange.*config\.json/, /MambaForCausalLM/]
    }),
    () => ({
      name: "a config without a field",
      pipeline: pipeline({
        from: brokenModel("fieldless", editConfig((config) => delete config["num_attention_heads"]))
      }),
      expected: [/BadModel: .*fieldless.*config\.json.*num_attention_heads/]
    }),
    () => ({
      name: "a config that does not fit the weights",
      pipeline: pipeline({ from: brokenModel("misfit", editConfig((config) => (config["intermediate_size"] = 170))) }),
      expected: [/BadModel: .*misfit.*model\.safetensors.*gate_proj/, /170/]
    }),
    () => ({
      name: "a wrong header length",
      pipeline: pipeline({
        from: brokenModel("header", editWeights((bytes) => bytes.writeBigUInt64LE(10n ** 12n, 0)))
      }),
      expected: [/header.*model\.safetensors/]
    }),
    () => ({
      name: "overlapping offsets",
      pipeline: pipeline({
        from: brokenModel(
          "overlap",
          editWeights((bytes, length) => {
            const header = bytes.subarray(8, 8 + length).toString()
            const second = [...header.matchAll(/"data_offsets":\[(\d+),(\d+)\]/g)].find(([, from]) => from !== "0")!
            const shifted = second[0].replace(
              second[1]!,
              String(Number(second[1]) - 4).padStart(second[1]!.length, " ")
            )
            bytes.write(header.replace(second[0], shifted), 8)
          })
        )
      }),
      expected: [/overlap.*model\.safetensors/]
    }),
    () => ({
      name: "weights that are no numbers",
      pipeline: pipeline({
        from: brokenModel("nan", editWeights((bytes, length) => bytes.writeFloatLE(NaN, 8 + length + 400)))
      }),
      expected: [/BadModel: .*nan.*model\.safetensors/, /NaN|not finite/]
    }),
    () => ({
      name: "a file that does not type-check",
      pipeline: pipeline({ extra: "train(dpo(), { model: base, dta: data })" }),
      expected: [/BadPipeline: .*does not type-check/, /p\.ts\(\d+,\d+\): error TS2561: .*'dta'.*'data'/]
    }),
    () => ({
      name: "a parameter out of range",
      pipeline: pipeline({ extra: "train(dpo(), { model: base, data }, { batchSize: 0 })" }),
      expected: [/BadPipeline: .*cannot be loaded/, /batchSize/]
    })
  ]

  it.each(cases)("%#", async (make) => {
    const { expected, name, pipeline } = make()
    write("p.ts", pipeline)
    const { code, stderr } = await run("run", "p.ts")
    assert.strictEqual(code, 1, `${name}: ${stderr}`)
    const told = stderr.split("\n").filter((line) => !line.startsWith("{")).join("\n")
    for (const pattern of expected) assert.match(told, pattern, name)
    assert.notMatch(told, /\n\s+at .*\(.*:\d+:\d+\)/, `${name}: a stack trace`)
  })

  it("refuses a pipeline that exports nothing, or is not there", async () => {
    const [empty, none] = await Promise.all([run("run", "empty.ts"), run("run", "none.ts")])
    assert.deepStrictEqual([empty.code, none.code], [1, 1])
    assert.match(empty.stderr, /BadPipeline: .*empty\.ts: exports no step, no study/)
    assert.match(none.stderr, /BadPipeline: none\.ts: no such file/)
  })

  it("drops a useless row, and says which", async () => {
    write("p.ts", pipeline({ file: "blank.jsonl", objectives: "[dpo()]" }))
    const { steps } = document(await run("run", "p.ts", "--json"))
    const pairs = steps.find(({ kind }) => kind === "pairs")!
    const { stdout } = await run("show", pairs.outputs[0]!, "--json")
    const { manifest } = JSON.parse(stdout) as {
      manifest: { meta: { count: number; dropped: Record<string, ReadonlyArray<string>> } }
    }
    assert.strictEqual(manifest.meta.count, 5)
    assert.deepStrictEqual(Object.values(manifest.meta.dropped), [["0"]])
  })

  it("says so when the state directory cannot be made", async () => {
    write("occupied", "a file")
    write("p.ts", pipeline())
    const { code, stderr } = await run("run", "p.ts", "--home", "occupied")
    assert.strictEqual(code, 1)
    assert.match(stderr, /StoreError: .*occupied/)
  })

  it("keeps what was computed when a branch fails", async () => {
    write(
      "p.ts",
      `${pipeline({ objectives: "[dpo()]" })}
const bad = tokenise(normalise.plain(Dataset.file("none.jsonl", PlainRow)), base, { maxLength: 64 })
export const broken = evaluate(base, [margin(bad)])
`
    )
    const { code, stderr } = await run("run", "p.ts")
    assert.strictEqual(code, 1)
    assert.match(stderr, /none\.jsonl/)
    const labels = JSON.parse((await run("ls", "--json")).stdout) as ReadonlyArray<{ label: string }>
    assert.include(labels.map(({ label }) => label), "small/dpo")
  })
})
