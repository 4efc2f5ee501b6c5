// The figure of a model card: how far chosen and rejected answers moved from the reference while training, or the loss
// where there is no reference. An SVG of its own, light on any page.
import * as Plot from "@observablehq/plot"
import { parseHTML } from "linkedom"
import type { StepMetrics } from "../training/StepMetrics.ts"
import { light } from "./palette.ts"

interface Point {
  readonly step: number
  readonly value: number
  readonly name: string
  readonly colour: string
}

const columns = {
  "displacement/chosen": ["chosen", light.colours[0]!],
  "displacement/rejected": ["rejected", light.colours[3]!]
} as const

const pointsOf = (metrics: ReadonlyArray<StepMetrics>): ReadonlyArray<Point> => {
  const moved = Object.entries(columns).flatMap(([column, [name, colour]]) =>
    metrics.flatMap((at) => {
      const value = at[column as keyof typeof columns]
      return value === undefined ? [] : [{ step: at.step, value, name, colour }]
    })
  )
  return moved.length > 0
    ? moved
    : metrics.map(({ loss, step }) => ({ step, value: loss, name: "loss", colour: light.colours[0]! }))
}

/** Undefined without at least two steps. */
export const trainingFigure = (metrics: ReadonlyArray<StepMetrics>): string | undefined => {
  if (metrics.length < 2) return undefined
  const { document } = parseHTML("<!doctype html><html><body></body></html>")
  const points = pointsOf(metrics)
  const last = points.filter(({ step }) => step === metrics.at(-1)!.step)
  const svg = Plot.plot({
    document,
    width: 640,
    height: 320,
    marginLeft: 56,
    marginRight: 72,
    style: { background: light.paper, color: "#222222", fontFamily: "sans-serif" },
    color: { type: "identity" },
    x: { label: "optimiser step" },
    y: { grid: true, label: points[0]!.name === "loss" ? "loss" : "log-ratio per token against the reference, nats" },
    marks: [
      Plot.line(points, { x: "step", y: "value", stroke: "colour", z: "name", strokeWidth: 1.8 }),
      Plot.text(last, { x: "step", y: "value", text: "name", fill: "colour", textAnchor: "start", dx: 6 })
    ]
  } as Plot.PlotOptions)
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg")
  return `${svg.outerHTML}\n`
}
