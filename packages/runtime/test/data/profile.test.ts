import { languageOf } from "@penchant/runtime/data/language"
import { profileOf } from "@penchant/runtime/data/profile"
import { quantiles } from "@penchant/runtime/data/quantiles"
import { recognise } from "@penchant/runtime/data/recognise"
import { profilePage, profileText } from "@penchant/runtime/report/profile"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "vitest"
import { file, reference } from "./hh.ts"

const directory = mkdtempSync(join(tmpdir(), "profile-"))
afterAll(() => rmSync(directory, { recursive: true }))
const { signal } = new AbortController()
const of = (rows: ReadonlyArray<unknown>) => {
  const at = join(directory, "rows.jsonl")
  writeFileSync(at, rows.map((row) => JSON.stringify(row)).join("\n"))
  return profileOf("rows.jsonl", [at], undefined, signal)
}
const long = "the cat is on the mat and it was there for you"
const lang = "der Hund und die Katze sind nicht auf dem Tisch"

describe("profileOf", () => {
  it("knows the shipped pairs", async () => {
    const profile = await profileOf("hh", [file], undefined, signal)
    assert.deepStrictEqual([profile.format, profile.rows, profile.pairs], ["hh", 2312, 2303])
    // Counted apart from this code, by the rule of the last "\n\nAssistant:".
    assert.deepStrictEqual(profile.lengths, {
      prompt: { count: 2303, mean: 1_120_349 / 2303, min: 29, p50: 364, p95: 1419, p99: 2198, max: 3498 },
      chosen: { count: 2303, mean: 387_077 / 2303, min: 2, p50: 111, p95: 512, p99: 827, max: 1077 },
      rejected: { count: 2303, mean: 486_108 / 2303, min: 3, p50: 146, p95: 615, p99: 1024, max: 2470 }
    })
    assert.closeTo(profile.chosenLonger!, 0.44572297003907946, 1e-12)
    const found = Object.fromEntries(profile.findings.map(({ rows, what }) => [what, rows]))
    assert.deepStrictEqual(found["chosen is blank"], ["86", "516", "925", "1103"])
    assert.deepStrictEqual(found["prompts differ"], ["1254", "1688", "1950", "1952", "2036"])
    assert.deepStrictEqual(found["prompt seen before"], ["1452", "1483"])
    assert.strictEqual(found["turns do not alternate"]!.length, 9)
    for (const { counts } of Object.values(profile.histograms)) {
      assert.strictEqual(counts.reduce((sum, count) => sum + count, 0), 2303)
    }
  })

  it("finds what a training would stumble over, with every row", async () => {
    const profile = await of([
      { prompt: long, chosen: long, rejected: "x" },
      { prompt: long, chosen: long, rejected: "x" },
      { prompt: "q", chosen: "", rejected: "x" },
      { prompt: "q", chosen: "same", rejected: "same" },
      { prompt: long, chosen: lang, rejected: long },
      { prompt: [{ role: "system", content: "s" }, { role: "user", content: long }], chosen: "a", rejected: "b" }
    ])
    assert.deepStrictEqual(profile.findings, [
      { what: "chosen is blank", dropped: true, rows: ["2"] },
      { what: "chosen equals rejected", dropped: true, rows: ["3"] },
      { what: "prompt seen before", dropped: false, rows: ["1", "4"] },
      { what: "pair seen before", dropped: false, rows: ["1"] },
      { what: "an answer is in another language than the prompt (a guess)", dropped: false, rows: ["4"] }
    ])
    assert.deepStrictEqual([profile.rows, profile.pairs, profile.withSystem, profile.turns], [6, 4, 1, { 1: 3, 2: 1 }])
    assert.deepStrictEqual(profile.languages["chosen"], { English: 2, German: 1, unclear: 1 })
    assert.strictEqual(
      profile.chosenLonger,
      (1 + 1 + (lang.length > long.length ? 1 : lang.length === long.length ? 0.5 : 0) + 0.5) / 4
    )
  })

  it("refuses rows of no known shape", async () => {
    const refused = await of([{ question: "q", answer: "a" }]).then(() => "read", (error: Error) => error.message)
    assert.strictEqual(
      refused,
      "rows.jsonl: its rows are of no shape that is known (fields: question, answer) (say which with --format: hh, implicit, plain, sharegpt, tldr, ultrafeedback, unpaired)"
    )
  })

  it("is written as text and as a page that holds no markup of the data's", async () => {
    const profile = await of([{ prompt: "q", chosen: "", rejected: "x" }, {
      prompt: "q",
      chosen: "a",
      rejected: "<script>"
    }])
    const hostile = { ...profile, name: "<script>alert(1)</script>", format: profile.format }
    const page = profilePage(hostile)
    assert.notInclude(page, "<script>")
    assert.include(page, "chosen is blank: 1 rows, 50.0 %, dropped")
    assert.notMatch(page, /NaN|undefined|https?:/)
    const text = profileText(profile, (head, rows) => [head, ...rows].map((row) => row.join(" ")).join("\n"))
    assert.include(text, "  left for training: 1 (50.0 %)")
    assert.include(text, "chosen is blank: 1 (50.0 %), dropped\n    rows 0")
    assert.include(text, "rejected 8 8 8 8 8")
  })
})

describe("recognise", () => {
  const messages = [{ role: "user", content: "q" }]
  it.each([
    ["hh", { chosen: "\n\nHuman: a\n\nAssistant: b", rejected: "\n\nHuman: a\n\nAssistant: c" }],
    ["plain", { prompt: "p", chosen: "a", rejected: "b" }],
    ["implicit", { chosen: messages, rejected: messages }],
    ["ultrafeedback", { prompt: "p", chosen: messages, rejected: messages, score_chosen: 1, score_rejected: 0 }],
    ["tldr", { info: {}, summaries: [], choice: 0 }],
    ["tldr", { prompt: "SUBREDDIT: r/dogs\nTITLE: t", chosen: "a", rejected: "b" }],
    ["sharegpt", { conversations: [], chosen: {}, rejected: {} }],
    ["unpaired", { messages, label: true }],
    ["unpaired", { prompt: "p", completion: "c", label: false }],
    [undefined, { text: "t" }],
    [undefined, null]
  ])("%s", (format, row) => assert.strictEqual(recognise(row), format))

  it("knows the real files", async () => {
    const of = (name: string) => profileOf(name, [reference(name)], undefined, signal)
    assert.deepStrictEqual(
      [(await of("rows/dpo_en_demo.json.gz")).format, (await of("rows/kto_en_demo.json.gz")).format],
      ["sharegpt", "unpaired"]
    )
    const prefs = await of("parquet/test_prefs-00000-of-00001.parquet")
    assert.deepStrictEqual([prefs.format, prefs.columns["score_chosen"]!.mean], ["ultrafeedback", 1])
  })
})

describe("quantiles, languageOf", () => {
  it("give numbers that are there", () => {
    const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)
    assert.deepStrictEqual(quantiles(hundred), { count: 100, mean: 50.5, min: 1, p50: 50, p95: 95, p99: 99, max: 100 })
    assert.deepStrictEqual(quantiles([7]), { count: 1, mean: 7, min: 7, p50: 7, p95: 7, p99: 7, max: 7 })
    assert.deepStrictEqual(quantiles([]), { count: 0, mean: 0, min: 0, p50: 0, p95: 0, p99: 0, max: 0 })
  })

  it.each([
    ["English", long],
    ["German", lang],
    ["French", "le chat est sur la table et il ne veut pas de lait"],
    ["Spanish", "el gato no está en la casa, pero los perros sí"],
    ["Japanese", "猫はテーブルの上にいます。hello"],
    ["Chinese", "猫在桌子上睡觉"],
    ["Korean", "고양이가 탁자 위에 있어요"],
    ["Russian or another in Cyrillic", "кошка сидит на столе"],
    ["no letters", "1234 + 5!"],
    ["unclear", "for (let i = 0; i < n; i++) sum += x[i]"]
  ])("%s", (language, text) => assert.strictEqual(languageOf(text), language))
})
