// The frame around a plot: letter, heading, plots, caption, and the same numbers as a table for those who cannot see it.
import { type Html, html } from "./html.ts"

export interface Column {
  readonly head: string
  /** Numbers are aligned right. */
  readonly numeric?: boolean
}
/** Undefined prints as a dash. */
export type Cell = Html | string | undefined
export type Row = ReadonlyArray<Cell>

export const text = (...heads: ReadonlyArray<string>): ReadonlyArray<Column> => heads.map((head) => ({ head }))
export const numeric = (...heads: ReadonlyArray<string>): ReadonlyArray<Column> =>
  heads.map((head) => ({ head, numeric: true }))
/** Cells and lists of cells in one row. */
export const row = (...parts: ReadonlyArray<Cell | Row>): Row => parts.flat()

export const table = (columns: ReadonlyArray<Column>, rows: ReadonlyArray<Row>, className = ""): Html =>
  html`<div class="scroll" tabindex="0"><table class="${className}"><thead><tr>${
    columns.map(({ head, numeric }) => html`<th scope="col"${numeric === true && html` class="n"`}>${head}</th>`)
  }</tr></thead><tbody>${
    rows.map((cells) =>
      html`<tr>${
        cells.map((cell, i) =>
          i === 0
            ? html`<th scope="row">${cell}</th>`
            : html`<td${columns[i]?.numeric === true && html` class="n"`}>${cell ?? "–"}</td>`
        )
      }</tr>`
    )
  }</tbody></table></div>`

export const details = (summary: string, content: Html): Html =>
  html`<details><summary>${summary}</summary>${content}</details>`

export interface Figure {
  readonly id: string
  readonly heading: string
  readonly plots: Html
  readonly caption: string
  readonly numbers: Html
  /** The caption stands beside a single plot. */
  readonly beside?: boolean
}

export const figure = ({ beside = false, caption, heading, id, numbers, plots }: Figure, letter: string): Html =>
  html`<figure id="${id}"><h3><span class="letter">${letter}</span>${heading}</h3><div class="${
    beside ? "beside" : "above"
  }">${plots}<figcaption><p>${caption}</p></figcaption></div>${details("Numbers", numbers)}</figure>
`

/** One plot of several, under a heading of its own. */
export const pane = (heading: string, plot: Html): Html =>
  html`<div class="pane">${heading !== "" && html`<h4>${heading}</h4>`}${plot}</div>`

/** How many panes stand side by side. */
export type Layout = "one" | "two" | "three"
export const layoutOf = (panes: number): Layout => (panes < 2 ? "one" : panes === 2 || panes === 4 ? "two" : "three")
export const panes = (layout: Layout, all: ReadonlyArray<Html>): Html => html`<div class="panes ${layout}">${all}</div>`
/** Pixels across one pane; all are drawn in the same scale, so that letters have one size. */
export const paneWidth: Readonly<Record<Layout, number>> = { one: 680, two: 530, three: 352 }
