// The report: one HTML file that opens from file://, loads nothing, and runs no script.
import { accuracyFigure } from "./accuracy.ts"
import { comparisonFigure } from "./comparisons.ts"
import { displacementFigure } from "./displacement.ts"
import { type Figure, figure } from "./figure.ts"
import { count, list, seconds, setting } from "./format.ts"
import { type Html, html, trusted } from "./html.ts"
import { likelihoodFigure } from "./likelihood.ts"
import { objectivesTable } from "./objectives.ts"
import type { ReportData } from "./ReportData.ts"
import { scoresTable } from "./scores.ts"
import { arrange, type Arrangement } from "./series.ts"
import { shareFigure } from "./share.ts"
import { sizeOf, tuningOf } from "./statements.ts"
import { style } from "./style.ts"
import { sweepFigure } from "./sweep.ts"
import { dataSection, recipeSection, speedSection, stepsSection } from "./tables.ts"

const summary = (data: ReportData, { axes, names, replicateOver, replicates }: Arrangement): string => {
  const steps = [...new Set(data.runs.map(({ metrics }) => metrics.length))].filter((n) => n > 0)
  const values = axes.map((axis) => {
    const all = [...new Set(data.runs.flatMap(({ point }) => point?.[axis] ?? []))]
    return `${axis} ${list(all.map(setting))}`
  })
  return [
    `${count(data.runs.length, "run")} of ${count(names.length, "objective")}`,
    ...(values.length === 0 ? [] : [`at ${values.join("; ")}`]),
    ...(replicates > 1 ? [`${count(replicates, replicateOver)} each`] : []),
    ...(steps.length === 1 ? [`${count(steps[0]!, "step")} each`] : []),
    ...(data.start === undefined ? [] : [`read against the start “${data.start.label}”`])
  ].join(", ")
}

const header = (data: ReportData, arrangement: Arrangement): Html => {
  const total = data.steps.reduce((sum, step) => sum + step.seconds, 0)
  const read = data.data.reduce((sum, { read }) => sum + read, 0)
  const facts: ReadonlyArray<readonly [string, string | undefined]> = [
    [
      "data",
      data.data.length === 0
        ? undefined
        : `${count(read, "row")} read from ${list(data.data.map(({ source }) => source))}`
    ],
    ["held out", data.heldOut === undefined ? undefined : count(data.heldOut, "pair")],
    ["engine", data.environment.engine],
    ["machine", `${data.environment.cpu}, Node ${data.environment.node.replace(/^v/, "")}`],
    ["time in steps", data.steps.length === 0 ? undefined : seconds(total)],
    ["date", data.date]
  ]
  return html`<header><p class="eyebrow">penchant · report</p><h1>${data.title}</h1>
<p class="lede">${summary(data, arrangement)}. ${tuningOf(data, arrangement)}</p>
<p class="size">${sizeOf(data.model)}.</p>
<dl class="facts">${
    facts.map(([key, value]) => value !== undefined && html`<div><dt>${key}</dt><dd>${value}</dd></div>`)
  }</dl></header>`
}

const section = (id: string, heading: string, content: Html | undefined): Html =>
  content === undefined ? html`` : html`<section id="${id}"><h2>${heading}</h2>${content}</section>
`

/** The whole page as text. */
export const render = (data: ReportData): string => {
  const arrangement = arrange(data)
  const figures = [
    // a study along an axis is about that axis
    sweepFigure(data, arrangement),
    likelihoodFigure(data, arrangement),
    displacementFigure(data, arrangement),
    shareFigure(data, arrangement),
    accuracyFigure(data, arrangement),
    ...(data.comparisons ?? []).map((comparison, i) => comparisonFigure(comparison, arrangement, i))
  ].filter((one): one is Figure => one !== undefined)
  const drawn = figures.map((one, i) => figure(one, String.fromCharCode(97 + i)))
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>${data.title} · penchant</title>
<style>${trusted(style)}</style>
</head>
<body>
<main>
${header(data, arrangement)}
${section("objectives", "Objectives", data.runs.length === 0 ? undefined : objectivesTable(data, arrangement))}
${
    section(
      "results",
      data.runs.length === 1 ? "What the run shows" : "What the runs show",
      drawn.length === 0 ? undefined : html`${drawn}`
    )
  }
${section("scores", "Scores", scoresTable(data, arrangement))}
${section("data", "Data", data.data.length === 0 ? undefined : html`${data.data.map(dataSection)}`)}
${section("recipe", "Recipe", recipeSection(data))}
${section("speed", "Speed", speedSection(data.steps))}
${section("steps", "Steps", data.steps.length === 0 ? undefined : stepsSection(data.steps))}
${
    section(
      "again",
      "How to run this again",
      html`<pre><code>${data.command}</code></pre><p class="note">Engine ${data.environment.engine}, Node ${data.environment.node}, ${data.environment.cpu}. ${
        sizeOf(data.model)
      }.</p>`
    )
  }
</main>
</body>
</html>
`.text
}
