// The page's style sheet. Fonts are the reader's own. Names of lines are set nearer to the ink than their lines, to be read.
import { dark, light, type Palette } from "./palette.ts"

const colours = ({ colours, paper }: Palette, greys: string): string =>
  `--paper: ${paper}; ${greys} ${colours.map((colour, i) => `--c${i}: ${colour};`).join(" ")}`

const inLight = colours(light, "--ink: #1b1d22; --soft: #5b616b; --rule: #b9bec7; --grid: #eceef1; --tint: #f6f7f8;")
const inDark = colours(dark, "--ink: #e7e9ec; --soft: #9aa1ac; --rule: #4a505a; --grid: #24282e; --tint: #1b1e23;")
const names = light.colours.map((_, i) => `--t${i}: color-mix(in oklab, var(--c${i}) 76%, var(--ink));`).join(
  " "
)

export const style = `
:root { color-scheme: light dark; ${inLight}
  ${names}
  --sans: Inter, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
@media (prefers-color-scheme: dark) { :root { ${inDark} } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.6 var(--sans);
  font-feature-settings: "tnum"; font-variant-numeric: tabular-nums lining-nums; text-rendering: optimizeLegibility; }
main { max-width: 1128px; margin: 0 auto; padding: 72px 24px 96px; }
p { margin: 0 0 12px; max-width: 72ch; text-wrap: pretty; }
h1, h2, h3, h4 { line-height: 1.2; font-weight: 600; text-wrap: balance; }
h1 { font-size: 40px; letter-spacing: -.022em; margin: 0 0 16px; overflow-wrap: anywhere; }
h2 { font-size: 24px; letter-spacing: -.014em; margin: 80px 0 20px; }
h3 { font-size: 18px; letter-spacing: -.008em; margin: 0 0 16px; display: flex; gap: 10px; }
h4 { font-size: 13px; font-weight: 500; color: var(--soft); margin: 0 0 4px; }
.letter { color: var(--soft); font-weight: 500; }
.eyebrow { font-size: 13px; letter-spacing: .04em; color: var(--soft); margin: 0 0 20px; }
.lede { font-size: 19px; line-height: 1.5; max-width: 66ch; }
.size, .note { color: var(--soft); }
.note { font-size: 14px; margin-top: 12px; }
.note math { font-size: 1.1em; }
dl.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)); gap: 18px 32px; margin: 32px 0 0;
  padding: 20px 0 0; border-top: 1px solid var(--grid); }
dl.facts dt, dl.ids dt { font-size: 13px; color: var(--soft); }
dl.facts dd, dl.ids dd { margin: 0; font-size: 15px; line-height: 1.45; overflow-wrap: anywhere; }
#recipe dl.facts { grid-template-columns: repeat(auto-fill, minmax(130px, 1fr)); margin-top: 0; }
dl.ids dd { font: 13px/1.6 var(--mono); margin: 0 0 12px; color: var(--ink); }
figure { margin: 0 0 72px; break-inside: avoid; }
figcaption { color: var(--soft); font-size: 14.5px; line-height: 1.6; margin-top: 14px; }
figcaption p { max-width: 84ch; margin: 0; }
.beside { display: grid; grid-template-columns: minmax(0, 700fr) minmax(0, 340fr); gap: 40px; align-items: center; }
.beside figcaption { margin: 0; }
.panes { display: grid; gap: 20px 24px; align-items: start; }
.panes.two { grid-template-columns: repeat(2, minmax(0, 1fr)); }
.panes.three { grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 20px 12px; }
.above > .panes.one { max-width: 720px; }
.panes.dots { gap: 0 10px; }
svg.plot { display: block; max-width: 100%; height: auto; overflow: visible; font: 12px var(--sans); color: var(--soft); }
svg.plot text { white-space: pre; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14.5px; line-height: 1.4; width: 100%; }
th, td { text-align: left; vertical-align: baseline; padding: 8px 18px 8px 0; border-bottom: 1px solid var(--grid); }
th:last-child, td:last-child { padding-right: 0; }
thead th { font-size: 13px; font-weight: 500; color: var(--soft); border-bottom-color: var(--rule); white-space: nowrap; }
tbody th { font-weight: 500; }
th.n, td.n { text-align: right; white-space: nowrap; }
td small { display: block; font-size: 12px; color: var(--soft); }
table.small { font-size: 13px; }
table.small th, table.small td { padding-top: 5px; padding-bottom: 5px; }
table.objectives td, table.objectives th { vertical-align: middle; }
table.objectives tbody th, table.scores tbody th { white-space: nowrap; }
math { font-size: 1.14em; }
math[display="block"] { text-align: left; margin: 2px 0; width: max-content; }
.swatch { display: inline-block; width: 9px; height: 9px; border-radius: 50%; background: var(--c); margin-right: 9px; }
.swatch.ring { background: none; border: 1.5px solid var(--ink); }
code, pre { font: 13px/1.6 var(--mono); }
code.formula { font-size: 13.5px; }
pre { background: var(--tint); padding: 14px 18px; border-radius: 6px; overflow-x: auto; margin: 0; }
details { margin-top: 12px; font-size: 14px; }
summary { cursor: pointer; color: var(--soft); width: max-content; max-width: 100%; border-radius: 4px; }
summary:hover { color: var(--ink); }
details[open] > summary { margin-bottom: 8px; }
details .scroll { max-height: 420px; overflow: auto; }
details thead th { position: sticky; top: 0; background: var(--paper); }
:focus-visible { outline: 2px solid var(--c0); outline-offset: 3px; }
@media screen and (max-width: 860px) {
  main { padding: 40px 20px 64px; }
  h1 { font-size: 30px; }
  .beside, .panes.two, .panes.three { grid-template-columns: minmax(0, 1fr); }
  .panes.dots { min-width: 800px; }
}
@media print {
  :root { color-scheme: light; ${inLight} }
  @page { margin: 15mm; }
  body { font-size: 13px; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main { max-width: none; padding: 0; }
  .scroll { overflow: visible; }
  table, table.small { font-size: 11px; }
  th, td { padding-right: 10px; }
  thead th, td small { font-size: 10px; }
  h2, h3 { break-after: avoid; }
  h2 { margin-top: 48px; }
  .beside { grid-template-columns: minmax(0, 2fr) minmax(0, 1fr); gap: 20px; }
  details { display: none; }
  #data details, #recipe details { display: block; }
  details::details-content { display: block; content-visibility: visible; }
  dl.facts { break-inside: avoid; }
  tr { break-inside: avoid; }
}
`
