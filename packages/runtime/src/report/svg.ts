// Plots drawn to SVG text without a browser. Colours are custom properties of the page, so light and dark share a drawing.
import * as Plot from "@observablehq/plot"
import { parseHTML } from "linkedom"
import { type Html, trusted } from "./html.ts"

const { document } = parseHTML("<!doctype html><html><body></body></html>")

/** `aria` is what a reader hears in place of the drawing; its numbers are in a table below. */
export const draw = (options: Plot.PlotOptions, aria: string): Html => {
  const svg = Plot.plot({ document, className: "plot", color: { type: "identity" }, ...options } as Plot.PlotOptions)
  // Plot's own sheet, the same in every drawing: the page has it once
  svg.querySelector("style")?.remove()
  svg.setAttribute("role", "img")
  svg.setAttribute("aria-label", aria)
  return trusted(svg.outerHTML)
}

export interface Interval {
  readonly low: number
  readonly high: number
}

/** What the values span, with room around them. A single value gets a unit around it. */
export const extent = (values: ReadonlyArray<number>, room = 0.06): Interval => {
  if (values.length === 0) return { low: 0, high: 1 }
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const margin = (high > low ? high - low : Math.abs(high) || 1) * room
  return { low: low - margin, high: high + margin }
}

export interface Margins {
  readonly marginLeft: number
  readonly marginRight: number
  readonly marginTop: number
  readonly marginBottom: number
}

/** A drawing's measures: pixels outside, data inside. `x` may run from high to low. */
export interface Frame extends Margins {
  readonly width: number
  readonly height: number
  readonly x: { readonly domain: [number, number] }
  readonly y: { readonly domain: [number, number] }
}

/** Data units of one pixel; negative for an axis that runs from high to low. */
export const unitsOf = ({ height, marginBottom, marginLeft, marginRight, marginTop, width, x, y }: Frame) => ({
  x: (x.domain[1] - x.domain[0]) / (width - marginLeft - marginRight),
  y: (y.domain[1] - y.domain[0]) / (height - marginTop - marginBottom)
})

interface Coloured {
  /** Index into the palette. */
  readonly colour: number
}
const symbols = ["circle", "square", "triangle", "diamond2", "star", "cross", "wye", "times"] as const
/** A custom property of the page; the ink for what has no objective. */
export const colourOf = (colour: number): string => (colour < 0 ? "var(--ink)" : `var(--c${colour % symbols.length})`)
export const symbolOf = (colour: number): (typeof symbols)[number] =>
  colour < 0 ? "circle" : symbols[colour % symbols.length]!
/** The same nearer to the ink, for letters. */
export const letterOf = ({ colour }: Coloured): string =>
  colour < 0 ? "var(--ink)" : `var(--t${colour % symbols.length})`
export const inkOf = ({ colour }: Coloured): string => colourOf(colour)

const grid = { stroke: "var(--grid)", strokeOpacity: 1 }
export const gridX = (ticks = 6): Plot.Markish => Plot.gridX({ ...grid, ticks })
export const gridY = (ticks = 6): Plot.Markish => Plot.gridY({ ...grid, ticks })
export const axisX = (label: string, options: Plot.AxisXOptions = {}): Plot.Markish =>
  Plot.axisX({ ticks: 6, tickSize: 4, label, labelAnchor: "center", labelArrow: "none", ...options })
export const axisY = (options: Plot.AxisYOptions = {}): Plot.Markish =>
  Plot.axisY({ ticks: 6, tickSize: 0, label: null, labelArrow: "none", ...options })
/** Names of rows, on a band scale. */
export const rowNames = (): Plot.Markish => Plot.axisY({ tickSize: 0, label: null, fontSize: 13, fill: "var(--ink)" })
/** The level that values are read against. */
export const ruleX = (at: number): Plot.Markish => Plot.ruleX([at], { stroke: "var(--rule)", strokeDasharray: "2 3" })
export const ruleY = (at: number): Plot.Markish => Plot.ruleY([at], { stroke: "var(--rule)" })

/** A filled symbol, edged in the paper's colour so that neighbours stay apart. */
export const symbol = (colour: number): Plot.DotOptions => ({
  symbol: symbolOf(colour),
  fill: colourOf(colour),
  stroke: "var(--paper)",
  strokeWidth: 1
})
/** What everything starts from. */
export const ring: Plot.DotOptions = { r: 4.5, stroke: "var(--ink)", fill: "var(--paper)", strokeWidth: 1.5 }

export interface Whisker extends Interval, Coloured {
  readonly label: string
  readonly mean: number
  readonly title: string
}

/** Dots with whiskers on the rows of a band scale; a ring where there is no objective. */
export const whiskers = (rows: ReadonlyArray<Whisker>): Array<Plot.Markish> => [
  Plot.ruleY(rows.filter(({ high, low }) => high > low), {
    y: "label",
    x1: "low",
    x2: "high",
    stroke: inkOf,
    strokeWidth: 1.75,
    strokeLinecap: "round"
  }),
  ...rows.map((row) =>
    Plot.dot([row], { y: "label", x: "mean", r: 5, title: "title", ...(row.colour < 0 ? ring : symbol(row.colour)) })
  )
]
