import { parseHTML } from "linkedom"
import { describe, expect, it } from "vitest"
import { render } from "../../src/report/page.ts"
import type { ReportData, Run } from "../../src/report/ReportData.ts"
import { learningRates, quickstart, snapshots } from "./fixture.ts"

/** What these tests read of a page: the project has no DOM types. */
interface Element {
  readonly id: string
  readonly innerHTML: string
  readonly textContent: string
  readonly children: Iterable<Element>
  readonly attributes: Iterable<{ readonly name: string }>
  readonly getAttribute: (name: string) => string | null
  readonly querySelector: (selector: string) => Element | null
  readonly querySelectorAll: (selector: string) => ReadonlyArray<Element>
}
type Page = Pick<Element, "querySelector" | "querySelectorAll">

const open = (data: ReportData): Page => parseHTML(render(data)).document as unknown as Page
const textOf = (node: Element | null): string => (node?.textContent ?? "").replaceAll(/\s+/g, " ").trim()
const rowsOf = (page: Page, table: string): ReadonlyArray<ReadonlyArray<string>> =>
  [...page.querySelectorAll(`${table} tbody tr`)].map((row) => [...row.children].map((cell) => textOf(cell)))
const captionOf = (page: Page, id: string): string => textOf(page.querySelector(`#${id} figcaption`))
const withRuns = (runs: ReadonlyArray<Run>): ReportData => Object.assign({}, quickstart, { runs })

/** Everything but the objective and the label taken away. */
const bare = ({ label, objective }: Run): Run => ({ label, objective, metrics: [] })

describe("the page of the quickstart", () => {
  const text = render(quickstart)
  const page = open(quickstart)

  it("loads nothing and runs nothing", () => {
    expect(page.querySelectorAll("script, iframe, object, embed, img, link[rel=stylesheet]")).toHaveLength(0)
    expect(text).not.toMatch(/https?:|\/\/[a-z]|@import|url\(|@font-face/i)
    expect(page.querySelector("meta[http-equiv]")?.getAttribute("content")).toContain("default-src 'none'")
    const addressed = [...page.querySelectorAll("[src], [href]")].map((node) => node.getAttribute("href"))
    expect(addressed).toEqual(["data:,"])
  })

  it("is small, and the same for the same data", () => {
    expect(text.length).toBeLessThan(300_000)
    expect(render(quickstart)).toBe(text)
  })

  it("says what was run, on how small a model, and that rates were not tuned", () => {
    const header = textOf(page.querySelector("header"))
    expect(header).toContain("6 runs of 6 objectives, 48 steps each")
    expect(header).toContain("a 260,032-parameter model: small numbers, not a claim about large models")
    expect(header).toContain("One learning rate, 2e-3, for all: it was not tuned per objective.")
    expect(textOf(page.querySelector("#again pre"))).toBe("npx -y pnpm@12 quickstart")
  })

  it("shows each objective with its formula", () => {
    const names = rowsOf(page, "table.objectives").map(([name]) => name)
    expect(names).toEqual(["dil-lsif", "dil-bce", "dil-ukl", "dpo", "simpo", "dpo(ratio=mean)"])
    const formulas = [...page.querySelectorAll("table.objectives math")]
    expect(formulas[2]?.getAttribute("aria-label")).toBe("exp(mean log-ratio_l) - mean log-ratio_w")
    expect(textOf(formulas[3]!)).toBe("−log σ(β(ρw−ρl))")
    expect(rowsOf(page, "table.objectives")[4]?.[2]).toBe("beta 2, gamma 0.5")
  })

  it("prints every score as it was given, the start first, sorted by nobody", () => {
    const rows = rowsOf(page, "table.scores")
    expect(rows.map(([name]) => name)).toEqual([
      "sft",
      "dil-lsif",
      "dil-bce",
      "dil-ukl",
      "dpo",
      "simpo",
      "dpo(ratio=mean)"
    ])
    expect(rows[0]?.slice(1, 3)).toEqual(["−2.214", "–"])
    expect(rows[4]?.slice(1, 7)).toEqual(["−2.984", "−0.770", "−2.937", "−0.750", "−0.047", "−0.020"])
    expect(rows[6]?.[8]).toBe("+0.063+0.008 to +0.117")
  })

  it("has four figures, each drawn for eyes and written out for everyone else", () => {
    const figures = [...page.querySelectorAll("figure")]
    expect(figures.map(({ id }) => id)).toEqual(["likelihood", "displacement", "share", "accuracy"])
    for (const figure of figures) {
      expect(figure.querySelectorAll("svg[role=img][aria-label]").length).toBeGreaterThan(0)
      expect(figure.querySelectorAll("details table tbody tr").length).toBeGreaterThan(5)
      expect(figure.innerHTML).not.toMatch(/NaN|undefined|Infinity/)
    }
  })

  it("puts a name at the end of every line", () => {
    const [chosen] = page.querySelectorAll("#likelihood svg")
    const names = [...chosen!.querySelectorAll("text")].map((node) => textOf(node))
    for (const { objective } of quickstart.runs) expect(names).toContain(objective.name)
  })

  it("draws a training curve through the numbers it was given", () => {
    const [chosen] = page.querySelectorAll("#likelihood svg")
    const path = chosen!.querySelector("g[aria-label=line] path")!.getAttribute("d")!
    expect(path.match(/[ML]/g)).toHaveLength(48)
    const ys = path.slice(1).split("L").map((point) => Number(point.split(",")[1]))
    const values = quickstart.runs[0]!.metrics.map((at) => at["logps_per_token/chosen"]!)
    // pixels fall as values rise, by one factor everywhere
    const scale = (ys[0]! - ys[47]!) / (values[47]! - values[0]!)
    values.forEach((value, i) => expect(ys[0]! - ys[i]!).toBeCloseTo(scale * (value - values[0]!), 1))
    expect(scale).toBeGreaterThan(0)
  })

  it("lists the held-out numbers of each snapshot", () => {
    const rows = rowsOf(page, "#displacement")
    expect(rows).toHaveLength(6 * snapshots.length)
    expect(rows.findLast(([name]) => name === "dpo")).toEqual(["dpo", "48", "−0.020", "−0.770"])
  })

  it("computes what captions say", () => {
    expect(captionOf(page, "likelihood")).toContain(
      "the chosen answers changed by −1.87 to −0.42 nats per token against the start: every run here made them less likely."
    )
    expect(captionOf(page, "displacement")).toContain("the margin had changed by −0.02 to +0.13")
    expect(captionOf(page, "accuracy")).toContain(
      "The interval of the change covers zero for dil-lsif, dil-bce, dil-ukl, dpo and simpo; it does not for dpo(ratio=mean) (+0.008 to +0.117)."
    )
    expect(captionOf(page, "accuracy")).toContain(
      "scores 0.59 on these pairs. 42 of them are of nearly equal length: there, one pair moves the accuracy by 0.02."
    )
    const one = quickstart.runs[0]!
    const raised = { ...one, scores: { ...one.scores, chosenChange: 0.2, accuracyChangeLow: -0.1 } }
    const other = open(withRuns([raised, quickstart.runs[1]!]))
    expect(captionOf(other, "likelihood")).toContain("more likely after dil-lsif, not after the others.")
    expect(captionOf(other, "accuracy")).toContain("Every interval of the change covers zero")
  })

  it("declares no winner", () => {
    expect(textOf(page.querySelector("main")).replace("none is marked as best", "")).not.toMatch(
      /\b(best|better|wins|winner|outperform\w*|superior)\b(?!” alone)/
    )
  })

  it("reads the gradient's share off the formulas: 1 / (1 + r) for all of DIL, a half for margins", () => {
    const rows = rowsOf(page, "#share").filter(([, ratio]) => ratio === "−1.00")
    expect(rows.map(([name, , share]) => [name, share])).toEqual([
      // both log-ratios at -1: rejected weigh r / (1 + r) with r = exp(-1)
      ["dil-lsif", "26.9%"],
      ["dil-bce", "26.9%"],
      ["dil-ukl", "26.9%"],
      ["dpo", "50.0%"],
      ["simpo", "50.0%"],
      ["dpo(ratio=mean)", "50.0%"]
    ])
    // LSIF pulls on the chosen by r, on the rejected by r squared
    expect(rows[0]?.slice(3)).toEqual(["0.368", "0.135"])
    expect(rows[2]?.slice(3)).toEqual(["1.000", "0.368"])
  })

  it("lists dropped rows by reason and id, and the settings of training", () => {
    const data = textOf(page.querySelector("#data"))
    expect(data).toContain("2,312 rows read, 9 dropped (prompts that differ: 5; empty chosen answer: 4)")
    expect(data).toContain("row 44, row 319, row 1020, row 1733, row 2101")
    expect(data).toContain("5 prompts cut on the left; 1 dropped: too long")
    expect(textOf(page.querySelector("#recipe"))).toContain("learningRate2e-3")
    expect(rowsOf(page, "#steps")[2]).toEqual(["sft", "train", "run", "9.4 s", "c2d19ab0ffde"])
  })
})

describe("runs that reach much farther than the others", () => {
  const runs = quickstart.runs.map((run, i) => {
    if (i !== 5) return run
    const curve = { ...run.curve!, chosenChange: [-5, -9, -13, -17] }
    const metrics = run.metrics.map((at) => ({ ...at, "logps_per_token/chosen": -0.4 * at.step }))
    return { ...run, curve, metrics }
  })
  const page = open(withRuns(runs))
  const namesIn = (svg: Element): ReadonlyArray<string> =>
    [...svg.querySelectorAll("text")].map((node) => textOf(node)).filter((name) => /^(dil|dpo|simpo)/.test(name))

  it.each(["likelihood", "displacement"])("are left out of a second look: %s", (id) => {
    const headings = [...page.querySelectorAll(`#${id} h4`)].map((node) => textOf(node))
    const svgs = [...page.querySelectorAll(`#${id} svg`)]
    expect(headings[0]).toMatch(/^all/)
    expect(headings.at(-1)).toMatch(/^closer, without dpo\(ratio=mean\)/)
    expect(namesIn(svgs[0]!)).toHaveLength(6)
    expect(namesIn(svgs.at(-1)!).toSorted()).toEqual(["dil-bce", "dil-lsif", "dil-ukl", "dpo", "simpo"])
  })
})

describe("the page of a study", () => {
  const page = open(learningRates)

  it("collapses seeds and stands by learning rate", () => {
    expect(textOf(page.querySelector("header"))).toContain(
      "36 runs of 4 objectives, at learningRate 1e-4, 5e-4 and 2e-3, 3 seeds each, 24 steps each"
    )
    const rows = rowsOf(page, "table.scores")
    expect(rows).toHaveLength(1 + 4 * 3)
    expect(rows[1]?.slice(0, 2)).toEqual(["dil-lsif", "1e-4"])
    const changes = learningRates.runs.slice(0, 3).map(({ scores }) => scores!["chosenChange"]!)
    const mean = (changes[0]! + changes[1]! + changes[2]!) / 3
    const range = [Math.min(...changes), Math.max(...changes)].map((x) => x.toFixed(3).replace("-", "−")).join(" to ")
    expect(rows[1]?.[3]).toBe(`${mean.toFixed(3).replace("-", "−")}${range}`)
  })

  it("draws one panel per learning rate, and the ends along the axis first", () => {
    expect([...page.querySelectorAll("figure")].map(({ id }) => id)).toEqual([
      "sweep",
      "likelihood",
      "displacement",
      "share",
      "comparison-0"
    ])
    expect([...page.querySelectorAll("#displacement h4")].map((node) => textOf(node))).toEqual([
      "learningRate 1e-4",
      "learningRate 5e-4",
      "learningRate 2e-3"
    ])
    expect(page.querySelectorAll("#likelihood svg")).toHaveLength(6)
    expect(rowsOf(page, "#sweep")).toHaveLength(12)
    expect(captionOf(page, "displacement")).toContain("No snapshots were kept")
  })

  it("does not say that the rate was not tuned where it is an axis", () => {
    expect(textOf(page.querySelector("header"))).not.toContain("tuned")
  })

  it("guards comparisons", () => {
    expect(captionOf(page, "comparison-0")).toBe(
      "The interval of the difference from dil-lsif covers zero for dil-ukl. Rows also differ in learningRate. Intervals cover the order of the pairs, not the draw of the data."
    )
  })
})

describe("less than everything", () => {
  const { comparisons: _, start: __, ...rest } = learningRates
  const empty: ReportData = { ...rest, data: [], runs: [], steps: [] }

  it("renders no run, and says no more than that", () => {
    const page = open(empty)
    expect(page.querySelectorAll("figure, table")).toHaveLength(0)
    expect(textOf(page.querySelector("h1"))).toBe("When objectives coincide")
  })

  it("renders a run with nothing but an objective", () => {
    const page = open({ ...empty, runs: [bare(quickstart.runs[0]!)] })
    expect(page.querySelectorAll("figure")).toHaveLength(0)
    expect(rowsOf(page, "table.objectives")).toHaveLength(1)
  })

  it.each(["curve", "scores", "gradientShare", "recipe", "point"] as const)("renders runs without %s", (key) => {
    const runs = quickstart.runs.map((run) => {
      const { [key]: _, ...others } = run
      return others as Run
    })
    const page = open(withRuns(runs))
    expect(page.querySelector("main")!.innerHTML).not.toMatch(/NaN|undefined/)
    expect(page.querySelectorAll("figure").length).toBe(key === "gradientShare" || key === "scores" ? 3 : 4)
  })

  it("renders a single step of training", () => {
    const [run] = quickstart.runs
    const page = open(withRuns([{ ...bare(run!), metrics: run!.metrics.slice(0, 1) }]))
    expect(page.querySelector("#likelihood")!.innerHTML).not.toMatch(/NaN|Infinity/)
  })

  it("keeps two runs of one objective apart by their labels", () => {
    const [run] = quickstart.runs
    const page = open(withRuns([{ ...run!, label: "first" }, { ...run!, label: "second" }]))
    expect(rowsOf(page, "table.scores").map(([name]) => name)).toEqual(["sft", "first", "second"])
  })

  it("has colours and symbols for more objectives than its palette", () => {
    const runs = Array.from({ length: 20 }, (_, i) => {
      const run = quickstart.runs[i % 6]!
      return { ...run, label: `objectives/o${i}`, objective: { ...run.objective, name: `o${i}` } }
    })
    expect(rowsOf(open(withRuns(runs)), "table.scores")).toHaveLength(21)
  })
})

describe("hostile text", () => {
  const hostile = `<script>alert(1)</script><img src=x onerror=alert(2)>"'&`
  const run = quickstart.runs[0]!
  const data: ReportData = {
    ...quickstart,
    title: hostile,
    command: hostile,
    model: { name: hostile, parameters: 1 },
    data: [{ source: hostile, read: 1, dropped: { [hostile]: [hostile] }, parts: [], notes: [hostile] }],
    start: { label: hostile, scores: { ...run.scores, [hostile]: 1 } },
    runs: [{
      ...run,
      label: hostile,
      objective: { name: hostile, formula: { text: hostile, mathml: hostile }, parameters: { [hostile]: 1 } },
      point: { [hostile]: hostile },
      recipe: { ...run.recipe, [hostile]: hostile },
      scores: { ...run.scores, [hostile]: 1 }
    }],
    comparisons: [{
      metric: hostile,
      rows: [{ label: hostile, n: 1, mean: 0, low: 0, high: 1 }],
      differsIn: [hostile],
      notes: [hostile]
    }],
    steps: [{ label: hostile, kind: hostile, verdict: hostile, seconds: 1, digest: hostile }],
    environment: { engine: hostile, node: hostile, cpu: hostile }
  }

  it("is text wherever it stands", () => {
    const page = open(data)
    expect(page.querySelectorAll("script, img")).toHaveLength(0)
    for (const node of page.querySelectorAll("*")) {
      expect([...node.attributes].filter(({ name }) => name.startsWith("on"))).toEqual([])
    }
    expect(textOf(page.querySelector("h1"))).toBe(hostile)
    expect(rowsOf(page, "table.objectives")[0]?.[1]).toBe(hostile)
    expect(textOf(page.querySelector("#accuracy svg"))).toContain("<script>alert(1)</script>")
  })
})
