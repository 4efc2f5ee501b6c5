// The profile of a data set as text for a terminal and as one HTML page that opens from file:// and loads nothing.
import type { Finding, Profile } from "../data/profile.ts"
import type { Quantiles } from "../data/quantiles.ts"
import { type Html, html, trusted } from "./html.ts"
import { style } from "./style.ts"

const number = (value: number): string =>
  Number.isInteger(value) ? value.toLocaleString("en") : value.toLocaleString("en", { maximumFractionDigits: 2 })
const share = (part: number, whole: number): string => `${(100 * part / Math.max(1, whole)).toFixed(1)} %`

const heads = ["mean", "p50", "p95", "p99", "max"] as const
const cells = (of: Quantiles): ReadonlyArray<string> =>
  heads.map((head) => number(head === "mean" ? Math.round(of.mean * 10) / 10 : of[head]))

/** A row per name. */
const rowsOf = (of: Readonly<Record<string, Quantiles>>): ReadonlyArray<ReadonlyArray<string>> =>
  Object.entries(of).map(([name, values]) => [name].concat(cells(values)))

/** Languages of a part, the commonest first. */
const spoken = (counts: Readonly<Record<string, number>>): ReadonlyArray<readonly [string, number]> =>
  Object.entries(counts).toSorted(([, a], [, b]) => b - a)

const facts = (profile: Profile): ReadonlyArray<readonly [string, string]> => {
  const { chosenLonger, format, pairs, rows, turns, withSystem, withTools } = profile
  const several = Object.entries(turns).reduce((sum, [count, of]) => sum + (Number(count) > 1 ? of : 0), 0)
  return [
    ["format", format],
    ["rows", number(rows)],
    ["left for training", `${number(pairs)} (${share(pairs, rows)})`],
    ...(chosenLonger === undefined ? [] : [["chosen is the longer answer", share(chosenLonger, 1)] as const]),
    ["prompts of several turns", share(several, pairs)],
    ["with a system turn", share(withSystem, pairs)],
    ["with tools", share(withTools, pairs)]
  ]
}

const shown = 12
const listed = ({ rows }: Finding, most: number): string =>
  rows.slice(0, most).join(", ") + (rows.length > most ? `, and ${number(rows.length - most)} more` : "")

/** For a terminal: every finding with its first row ids. */
export const profileText = (
  profile: Profile,
  table: (
    head: ReadonlyArray<string>,
    rows: ReadonlyArray<ReadonlyArray<string>>,
    right?: ReadonlyArray<number>
  ) => string
): string => {
  const { columns, findings, languages, lengths, name, rows } = profile
  const numbers = [...heads.keys()].map((i) => i + 1)
  const blocks = [
    `${name}\n${facts(profile).map(([key, value]) => `  ${key}: ${value}`).join("\n")}`,
    table(["characters", ...heads], rowsOf(lengths), numbers),
    ...(Object.keys(columns).length === 0
      ? []
      : [table(["column", ...heads], rowsOf(columns), numbers)]),
    `languages (a guess)\n${
      Object.entries(languages).map(([part, counts]) => {
        const all = Object.values(counts).reduce((sum, count) => sum + count, 0)
        return `  ${part}: ${
          spoken(counts).slice(0, 5).map(([language, count]) => `${language} ${share(count, all)}`).join(", ")
        }`
      }).join("\n")
    }`,
    findings.length === 0
      ? "findings: none"
      : `findings\n${
        findings.map((finding) =>
          `  ${finding.what}: ${number(finding.rows.length)} (${share(finding.rows.length, rows)}), ${
            finding.dropped ? "dropped" : "noted"
          }\n    rows ${listed(finding, shown)}`
        ).join("\n")
      }`
  ]
  return `${blocks.join("\n\n")}\n`
}

/** Bars without a library: their heights are all there is to say. */
const bars = (part: string, { bin, counts }: Profile["histograms"][string], colour: number): Html => {
  const [width, height, most] = [340, 90, Math.max(...counts, 1)]
  const step = width / counts.length
  const drawn = counts.map((count, i) => {
    const tall = height * count / most
    return `<rect x="${(i * step).toFixed(1)}" y="${(height - tall).toFixed(1)}" width="${
      (step - 1).toFixed(1)
    }" height="${tall.toFixed(1)}" fill="var(--c${colour})"><title>${i * bin}${
      i === counts.length - 1 ? " or more" : ` to ${(i + 1) * bin - 1}`
    }: ${count}</title></rect>`
  })
  return html`<div><h4>${part}</h4><svg class="plot" viewBox="0 0 ${width} ${
    height + 18
  }" role="img" aria-label="${`lengths of ${part}, in characters`}">${
    trusted(drawn.join(""))
  }<line x1="0" x2="${width}" y1="${height}" y2="${height}" stroke="var(--rule)"/><text x="0" y="${
    height + 14
  }" fill="currentColor">0</text><text x="${width}" y="${height + 14}" text-anchor="end" fill="currentColor">${
    number(bin * counts.length)
  }+</text></svg></div>`
}

const quantileTable = (head: string, of: Readonly<Record<string, Quantiles>>): Html =>
  html`<div class="scroll"><table><thead><tr><th>${head}</th>${
    heads.map((name) => html`<th class="n">${name}</th>`)
  }</tr></thead><tbody>${
    Object.entries(of).map(([name, values]) =>
      html`<tr><th>${name}</th>${cells(values).map((cell) => html`<td class="n">${cell}</td>`)}</tr>`
    )
  }</tbody></table></div>`

/** Rows that one page lists of a finding: a page stays readable, and `--json` has all. */
const most = 2000

export const profilePage = (profile: Profile): string => {
  const { columns, findings, histograms, languages, lengths, name, pairs, rows } = profile
  const found = findings.length === 0
    ? html`<p>Nothing was found.</p>`
    : findings.map((finding) =>
      html`<details${trusted(finding.rows.length <= shown ? " open" : "")}><summary>${finding.what}: ${
        number(finding.rows.length)
      } rows, ${share(finding.rows.length, rows)}, ${finding.dropped ? "dropped" : "noted"}</summary><p><code>${
        listed(finding, most)
      }</code></p></details>`
    )
  const spokenRows = Object.entries(languages).flatMap(([part, counts]) => {
    const all = Object.values(counts).reduce((sum, count) => sum + count, 0)
    return spoken(counts).map(([language, count], index) =>
      html`<tr><th>${index === 0 ? part : ""}</th><td>${language}</td><td class="n">${
        number(count)
      }</td><td class="n">${share(count, all)}</td></tr>`
    )
  })
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${name}</title><style>${trusted(style)}</style></head><body><main>
<header><p class="eyebrow">penchant · data</p><h1>${name}</h1>
<p class="lede">${number(rows)} rows, of which ${number(pairs)} are of use to training.</p>
<dl class="facts">${
    facts(profile).map(([key, value]) => html`<div><dt>${key}</dt><dd>${value}</dd></div>`)
  }</dl></header>
<section id="findings"><h2>Findings</h2>${found}</section>
<section id="lengths"><h2>Lengths</h2><div class="panes three">${
    Object.entries(histograms).map(([part, of], index) => bars(part, of, index))
  }</div><p class="note">Characters of each part; the last bar holds everything longer.</p>${
    quantileTable("characters", lengths)
  }</section>
${
    Object.keys(columns).length === 0
      ? ""
      : html`<section id="columns"><h2>Columns</h2>${quantileTable("column", columns)}</section>`
  }
<section id="languages"><h2>Languages</h2><div class="scroll"><table><thead><tr><th>part</th><th>language</th><th class="n">texts</th><th class="n">share</th></tr></thead><tbody>${spokenRows}</tbody></table></div>
<p class="note">A guess: by script, and within the Latin script by the commonest words.</p></section>
</main></body></html>
`
  return page.text
}
