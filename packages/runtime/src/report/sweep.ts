// Panel: where every run ended, along a numeric axis of the study (a learning rate, a beta): when objectives coincide.
import * as Plot from "@observablehq/plot"
import { type Figure, numeric, pane, panes, paneWidth, row, table, text } from "./figure.ts"
import { count, rangeText, setting, signed, span } from "./format.ts"
import type { Html } from "./html.ts"
import { endLabels, endsOf, type Line, lines, roomFor } from "./labels.ts"
import type { ReportData } from "./ReportData.ts"
import { type Arrangement, type Range, scoreOf } from "./series.ts"
import { pairsOf } from "./statements.ts"
import { axisY, draw, extent, type Frame, gridY, inkOf, ruleY, symbol } from "./svg.ts"

const columns = [
  { name: "chosenChange", heading: "chosen answers" },
  { name: "rejectedChange", heading: "rejected answers" },
  { name: "marginChange", heading: "margin" }
] as const

interface Point extends Range {
  readonly name: string
  readonly colour: number
  readonly at: number
}

const pointsOf = ({ series }: Arrangement, axis: string, column: string): ReadonlyArray<Point> =>
  series.flatMap(({ colour, facet, name, runs }) => {
    const at = facet.point[axis]
    const range = scoreOf({ runs }, column)
    return typeof at !== "number" || range === undefined ? [] : [{ ...range, name, colour, at }]
  }).toSorted((a, b) => a.at - b.at)

const valuesOf = (points: ReadonlyArray<Point>): ReadonlyArray<number> => [...new Set(points.map(({ at }) => at))]

const plot = (points: ReadonlyArray<Point>, names: ReadonlyArray<string>, axis: string, aria: string): Html => {
  const ats = valuesOf(points)
  // equal distances for equal ratios where the axis spans nearly an order of magnitude
  const place = ats[0]! > 0 && ats.at(-1)! / ats[0]! >= 8 ? Math.log : (at: number): number => at
  const x = extent(ats.map(place), 0.05)
  const y = extent([0, ...points.flatMap(({ high, low }) => [high, low])])
  const frame: Frame = {
    width: paneWidth.three,
    height: 300,
    marginLeft: 44,
    marginRight: roomFor(names) - 6,
    marginTop: 12,
    marginBottom: 40,
    x: { domain: [x.low, x.high] },
    y: { domain: [y.low, y.high] }
  }
  const all: ReadonlyArray<Line> = names.map((name, colour) => ({
    name,
    colour,
    points: points.filter((point) => point.name === name).map(({ at, mean }) => [place(at), mean])
  }))
  return draw({
    ...frame,
    marks: [
      gridY(5),
      ruleY(0),
      axisY({ ticks: 5 }),
      Plot.axisX(ats.map(place), {
        tickSize: 4,
        tickFormat: (_: number, i: number) => setting(ats[i]!),
        label: axis,
        labelAnchor: "center",
        labelArrow: "none"
      }),
      Plot.ruleX(points.filter(({ high, low }) => high > low), {
        x: ({ at }: Point) => place(at),
        y1: "low",
        y2: "high",
        stroke: inkOf,
        strokeWidth: 1.5,
        strokeOpacity: 0.6
      }),
      lines(all, frame),
      all.map((line) => Plot.dot(line.points as Array<[number, number]>, { r: 4, ...symbol(line.colour) })),
      endLabels(endsOf(all), frame)
    ]
  }, aria)
}

const caption = (data: ReportData, arrangement: Arrangement, axis: string): string => {
  const points = pointsOf(arrangement, axis, "chosenChange")
  const between = valuesOf(points).map((value) => {
    const means = points.filter(({ at }) => at === value).map(({ mean }) => mean)
    return `${span(means, (mean) => signed(mean, 2))} at ${setting(value)}`
  })
  return [
    `Change against the start at the end of training, nats per token, on ${pairsOf(data)}.`,
    arrangement.replicates > 1
      ? `Symbols: mean over ${
        count(arrangement.replicates, arrangement.replicateOver)
      }; bars: their range, which says nothing about other data.`
      : "One run per symbol.",
    ...(arrangement.names.length < 2 || between.length === 0
      ? []
      : [`Over the objectives the chosen answers changed by ${between.join("; ")}.`])
  ].join(" ")
}

/** Undefined unless exactly one axis besides objective and replicates varies, and it is numeric. */
export const sweepFigure = (data: ReportData, arrangement: Arrangement): Figure | undefined => {
  const [axis, ...more] = arrangement.axes
  if (axis === undefined || more.length > 0) return undefined
  const shown = columns.map(({ heading, name }) => ({ heading, points: pointsOf(arrangement, axis, name) }))
    .filter(({ points }) => valuesOf(points).length > 1)
  if (shown.length === 0) return undefined
  const drawn = shown.map(({ heading, points }) =>
    pane(heading, plot(points, arrangement.names, axis, `Change of the ${heading} by ${axis}, one line per objective`))
  )
  return {
    id: "sweep",
    heading: `Where do the runs end, by ${axis}?`,
    plots: panes("three", drawn),
    caption: caption(data, arrangement, axis),
    numbers: table(
      [...text("objective"), ...numeric(axis, ...shown.map(({ heading }) => heading))],
      shown[0]!.points.map(({ at, name }) =>
        row(
          name,
          setting(at),
          shown.map(({ points }) => {
            const found = points.find((point) => point.name === name && point.at === at)
            return found === undefined ? undefined : rangeText(found, signed)
          })
        )
      ),
      "small"
    )
  }
}
