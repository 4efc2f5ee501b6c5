// The table of objectives: name in its colour, formula, parameters, and what the letters mean.
import { row, table, text } from "./figure.ts"
import { setting } from "./format.ts"
import { type Html, html, trusted } from "./html.ts"
import { isMathMl } from "./mathml.ts"
import type { ObjectiveData, ReportData } from "./ReportData.ts"
import type { Arrangement } from "./series.ts"
import { colourOf } from "./svg.ts"

/** A name after a dot in its colour. */
export const named = ({ names }: Arrangement, name: string): Html =>
  html`<i class="swatch" style="--c:${colourOf(names.indexOf(name))}"></i>${name}`

const formula = ({ mathml, text }: ObjectiveData["formula"]): Html =>
  mathml !== undefined && isMathMl(mathml)
    ? html`<math display="block" aria-label="${text}"><mrow>${trusted(mathml)}</mrow></math>`
    : html`<code class="formula">${text}</code>`

const space = trusted(`<mspace width="0.17em"></mspace>`)
const ofAnswer = trusted(`<mo>(</mo><mi>y</mi><mo>)</mo>`)
const ratio =
  html`<mfrac><mrow><mi>π</mi>${ofAnswer}</mrow><mrow><msub><mi>π</mi><mtext>ref</mtext></msub>${ofAnswer}</mrow></mfrac>`

/** Letters of formulas; each is explained where one uses it. */
const letters: ReadonlyArray<readonly [letter: string, meaning: Html]> = [
  [
    "ρ",
    html`<math><mi>ρ</mi><mo>=</mo><mi>log</mi>${space}${ratio}</math> is the log-ratio of an answer against the reference`
  ],
  ["ℓ", html`<math><mi>ℓ</mi><mo>=</mo><mi>log</mi>${space}<mi>π</mi>${ofAnswer}</math> its log-probability`],
  ["¯", html`a bar the mean per token`],
  ["σ", html`<math><mi>σ</mi></math> the logistic function`]
]

export const objectivesTable = (data: ReportData, arrangement: Arrangement): Html => {
  const rows = arrangement.names.map((name) => {
    const { objective } = data.runs.find((run) => run.objective.name === name || run.label === name)!
    const parameters = Object.entries(objective.parameters).map(([key, value]) => `${key} ${setting(value)}`)
    return row(named(arrangement, name), formula(objective.formula), parameters.join(", "))
  })
  const used = data.runs.map(({ objective }) => objective.formula.mathml ?? "").join("")
  const meanings = letters.filter(([letter]) => used.includes(letter))
  return html`${table(text("objective", "loss of a pair", "parameters"), rows, "objectives")}${
    meanings.length > 0 &&
    html`<p class="note">${
      meanings.map(([, meaning]) => html`${meaning}; `)
    }<math><mi>w</mi></math> marks the chosen answer, <math><mi>l</mi></math> the rejected one.</p>`
  }`
}
