import { describe, expect, it } from "vitest"
import type { ReportData } from "../../src/report/ReportData.ts"
import { renderTable } from "../../src/report/terminal.ts"
import { learningRates, quickstart } from "./fixture.ts"

const { start: _, ...noStart } = quickstart
const longest = (text: string): number => Math.max(...text.split("\n").map((line) => line.length))

describe("the table in the terminal", () => {
  it("begins with the start, aligns its columns and keeps to 100", () => {
    const text = renderTable(quickstart)
    expect(text.split("\n").slice(0, 3)).toEqual([
      "                 chosen  change  rejected  change  margin  change  accuracy  change  equal length",
      "sft              -2.214            -2.187          -0.027             0.570                 0.524",
      "dil-lsif         -2.684  -0.470    -2.687  -0.500   0.003  +0.030     0.578  +0.008         0.524"
    ])
    expect(longest(text)).toBeLessThanOrEqual(100)
    expect(text).toContain("a 260,032-parameter model: small numbers")
    expect(text.replaceAll("\n", " ")).toContain("it does not for dpo(ratio=mean) (+0.008 to +0.117).")
  })

  it("has one row per run of a study", () => {
    const lines = renderTable(learningRates).split("\n")
    expect(lines.filter((line) => line.includes("seed="))).toHaveLength(36)
    expect(lines[2]).toMatch(/^dil-lsif learningRate=0.0001 seed=0 +-2\.28/)
  })

  it("keeps the changes when labels leave no room for everything", () => {
    const runs = quickstart.runs.map((run) => ({ ...run, label: `objectives/${"x".repeat(60)} ${run.label}` }))
    const text = renderTable({ ...quickstart, runs })
    expect(longest(text)).toBeLessThanOrEqual(100)
    const heads = text.split("\n")[0]!.trim().split(/ +/)
    expect(heads).toEqual(["chosen", "change", "rejected", "margin", "change", "accuracy", "change"])
    expect(text.split("\n")[2]).toContain("…  -2.684  -0.470")
  })

  it("says what a change is of where that column is not there", () => {
    const runs = quickstart.runs.map((run) => ({ ...run, scores: { chosenChange: -0.5, marginChange: 0.25 } }))
    expect(renderTable({ ...noStart, runs }).split("\n").slice(0, 2)).toEqual([
      "                 chosen change  margin change",
      "dil-lsif                -0.500         +0.250"
    ])
  })

  it("says of benchmarks what was asked, and which columns it leaves out", () => {
    const asked = { gsm8k: 0.25, gsm8kStderr: 0.1, gsm8kQuestions: 200, gsm8kRows: 1319, gsm8kCut: 3, gsm8kUnknown: 1 }
    const other = { mmlu: 0.5, mmluQuestions: 1000, mmluRows: 1000, mmluCut: 0, mmluUnknown: 0, mmluPro: 0.125 }
    const scores = { ...asked, ...other, mmluProQuestions: 5, mmluProRows: 12_032, ["x".repeat(90)]: 1 }
    const text = renderTable({ ...noStart, runs: [], models: [{ label: "base", scores }] })
    expect(text.split("\n").slice(0, 2)).toEqual([
      "      gsm8k 200/1,319   mmlu  mmluPro 5/12,032",
      "base            0.250  0.500             0.125"
    ])
    expect(text.replaceAll("\n", " ")).toContain(
      "gsm8k, 200 questions: 3 contexts cut on the left to fit the window and 1 right answer not among the choices, counted as wrong."
    )
    expect(text.replaceAll("\n", " ")).toContain("In the report only: xxxx")
  })

  it("marks rows that are not a benchmark's own, and keeps the first number of each before others", () => {
    const arc = { arcChallenge: 0.25, arcChallengeAcc: 0.5, arcChallengeQuestions: 8, arcChallengeRows: 8 }
    const scores = { ...arc, arcChallengeHandWritten: 8, musr: 0.5, musrQuestions: 2, musrRows: 2, musrHandWritten: 0 }
    const data: ReportData = { ...noStart, runs: [], models: [{ label: "base", scores }] }
    expect(renderTable(data).split("\n")[0]).toBe("      arcChallenge*  arcChallengeAcc*   musr")
    const narrow = renderTable(data, 40)
    expect(narrow.split("\n")[0]).toBe("      arcChallenge*   musr")
    expect(narrow.replaceAll("\n", " ")).toContain("* arcChallenge: hand-written rows, not the benchmark's own.")
  })

  it("says what win rates leave out", () => {
    const scores = { winRate: 0.5, winRateTies: 1, winRateUnparsable: 2, winRateJudged: 9 }
    expect(renderTable({ ...noStart, runs: [], models: [{ label: "base", scores }] })).toContain(
      "Win rates count: base 9 prompts, 1 tie, 2 unreadable and left out."
    )
  })

  it("cuts a study of thousands, and says so", () => {
    const runs = Array.from({ length: 1000 }, (_, i) => ({ ...quickstart.runs[0]!, label: `objectives/${i}` }))
    const lines = renderTable({ ...quickstart, runs }).split("\n")
    expect(lines[61]).toBe("941 more in the report")
  })

  it("has a row per snapshot of runs that were measured along the way, after the start", () => {
    const [one, two] = quickstart.runs.map(({ label, metrics, objective }, i) => ({
      label,
      metrics,
      objective,
      curve: { steps: [8, 16], gsm8k: [0.25 + i, 0.5 + i], gsm8kQuestions: [4, 4], gsm8kRows: [50, 50] }
    }))
    const begun = { label: "sft", scores: { gsm8k: 0.125, gsm8kQuestions: 4, gsm8kRows: 50 } }
    const data: ReportData = { ...noStart, start: begun, runs: [one!, two!] }
    expect(renderTable(data).split("\n").slice(0, 6)).toEqual([
      "          step  gsm8k 4/50",
      "sft                  0.125",
      "dil-lsif     8       0.250",
      "dil-lsif    16       0.500",
      "dil-bce      8       1.250",
      "dil-bce     16       1.500"
    ])
    const many = Array.from({ length: 31 }, (_, i) => ({ ...one!, label: `objectives/${i}` }))
    const lines = renderTable({ ...data, runs: many }).split("\n")
    expect(lines[3]).toBe("1      16       0.500")
    expect(lines.join(" ")).toContain("At the last snapshot of each run; the others are in the report.")
  })

  it("keeps to a narrow terminal", () => {
    for (const room of [40, 60, 80]) {
      const text = renderTable(quickstart, room)
      expect(longest(text)).toBeLessThanOrEqual(room)
      expect(text.split("\n")[0]).toMatch(/^ +chosen {2}change/)
      expect(text.replaceAll("\n", " ")).toContain("In the report only:")
    }
  })

  it("falls back to the last step of training, and to nothing", () => {
    const runs = quickstart.runs.map(({ label, metrics, objective }) => ({ label, metrics, objective }))
    const unscored: ReportData = { ...noStart, runs }
    expect(renderTable(unscored).split("\n")[1]).toBe("dil-lsif            48      0.660")
    expect(renderTable({ ...noStart, runs: [] })).toBe("")
  })
})
