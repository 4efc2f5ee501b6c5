// Panel: how the gradient divides between chosen and rejected answers as their log-ratio moves, read off the formulas.
import * as Plot from "@observablehq/plot"
import { type Figure, numeric, pane, panes, paneWidth, row, table, text } from "./figure.ts"
import { fixed } from "./format.ts"
import type { Html } from "./html.ts"
import { endLabels, endsOf, type Line, lines, roomFor } from "./labels.ts"
import type { Pull, ReportData } from "./ReportData.ts"
import type { Arrangement } from "./series.ts"
import { axisX, axisY, draw, extent, type Frame, gridY, inkOf, type Interval, ruleX } from "./svg.ts"

interface Curve {
  readonly name: string
  readonly colour: number
  readonly points: ReadonlyArray<Pull>
  /** What one answer is pulled by, on average of the two, where the log-ratio is nearest 0. */
  readonly unit: number
}

const curvesOf = ({ names, series }: Arrangement): ReadonlyArray<Curve> =>
  names.flatMap((name, colour) => {
    const points = (series.find((one) => one.name === name)?.runs[0]?.gradientShare ?? [])
      .toSorted((a, b) => b.logRatio - a.logRatio)
    if (points.length < 2) return []
    const origin = points.reduce((a, b) => (Math.abs(b.logRatio) < Math.abs(a.logRatio) ? b : a))
    const unit = (origin.chosen + origin.rejected) / 2
    return unit > 0 ? [{ name, colour, points, unit }] : []
  })

interface View {
  readonly heading: string
  readonly of: (at: Pull, unit: number) => number
  readonly print: (value: number) => string
}
const share: View = {
  heading: "share that falls on the rejected answer",
  of: ({ chosen, rejected }) => rejected / (chosen + rejected || 1),
  print: (value) => `${(100 * value).toFixed(1)}%`
}
const views: ReadonlyArray<View> = [
  share,
  { heading: "pull on the chosen answer", of: ({ chosen }, unit) => chosen / unit, print: fixed },
  { heading: "pull on the rejected answer", of: ({ rejected }, unit) => rejected / unit, print: fixed }
]

interface Measured {
  readonly colour: number
  readonly logRatio: number
  readonly share: number
}

/** Training steps as they were: the share of the rejected tokens at the mean log-ratio of the step's pairs. */
const measured = ({ series }: Arrangement, { high, low }: Interval): ReadonlyArray<Measured> =>
  series.flatMap(({ colour, runs }) =>
    runs.flatMap(({ metrics }) =>
      metrics.flatMap((step) => {
        const chosen = step["displacement/chosen"]
        const rejected = step["displacement/rejected"]
        const onChosen = step["gradient_share/chosen"]
        if (chosen === undefined || rejected === undefined || onChosen === undefined) return []
        const logRatio = (chosen + rejected) / 2
        return logRatio < low || logRatio > high ? [] : [{ colour, logRatio, share: 1 - onChosen }]
      })
    )
  )

const plot = (curves: ReadonlyArray<Curve>, view: View, frame: Frame, dots: ReadonlyArray<Measured>): Html => {
  const shown: ReadonlyArray<Line> = curves.map(({ colour, name, points, unit }) => ({
    name,
    colour,
    points: points.map((point) => [point.logRatio, view.of(point, unit)])
  }))
  return draw({
    ...frame,
    marks: [
      gridY(5),
      ruleX(0),
      axisY({ ticks: 5, ...(view === share ? { tickFormat: (value: number) => `${Math.round(100 * value)}%` } : {}) }),
      axisX("log-ratio per token, both answers", { ticks: 5 }),
      Plot.dot(dots, { x: "logRatio", y: "share", r: 1.5, fill: inkOf, fillOpacity: 0.5 }),
      lines(shown, frame),
      endLabels(endsOf(shown), frame)
    ]
  }, `${view.heading}, one line per objective, as the log-ratio of both answers falls`)
}

/** Undefined where no formula says anything about it. */
export const shareFigure = (_: ReportData, arrangement: Arrangement): Figure | undefined => {
  const curves = curvesOf(arrangement)
  if (curves.length === 0) return undefined
  const ratios = curves.flatMap(({ points }) => points.map(({ logRatio }) => logRatio))
  const at = { low: Math.min(...ratios), high: Math.max(...ratios) }
  const dots = measured(arrangement, at)
  const pulls = curves.flatMap(({ points, unit }) => points.flatMap((p) => [p.chosen / unit, p.rejected / unit]))
  // an objective that explodes must not flatten the others
  const most = Math.min(extent([0, ...pulls], 0.05).high, 4)
  const frameOf = (view: View): Frame => ({
    width: paneWidth.three,
    height: 290,
    marginLeft: 40,
    marginRight: roomFor(curves.map(({ name }) => name)) - 2,
    marginTop: 12,
    marginBottom: 40,
    // from likelier to less likely, the way that training goes
    x: { domain: [at.high, at.low] },
    y: { domain: [0, view === share ? 1 : most] }
  })
  const every = Math.max(1, Math.round((curves[0]!.points.length - 1) / 10))
  return {
    id: "share",
    heading: "Which answer does the gradient move?",
    plots: panes(
      "three",
      views.map((view) => pane(view.heading, plot(curves, view, frameOf(view), view === share ? dots : [])))
    ),
    caption: [
      "Lines are read off the formulas, not measured: both answers equally long, their log-ratio per token moved",
      "together from the start (0) towards less likely. Pull: size of the gradient on an answer, as a multiple of its",
      "size at the start. Lines that coincide are dashed in turn.",
      ...(dots.length === 0 ? [] : [
        "Dots are measured: each training step whose mean log-ratio lies in this range, over answers of unequal length."
      ])
    ].join(" "),
    numbers: table(
      [...text("objective"), ...numeric("log-ratio", ...views.map(({ heading }) => heading))],
      curves.flatMap(({ name, points, unit }) =>
        points.filter((_, i) => i % every === 0).map((point) =>
          row(name, fixed(point.logRatio, 2), views.map(({ of, print }) => print(of(point, unit))))
        )
      ),
      "small"
    )
  }
}
