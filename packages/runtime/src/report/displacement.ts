// Panel: change of the chosen answers against change of the margin, held out; each run sets out from the origin.
import * as Plot from "@observablehq/plot"
import { type Figure, type Layout, layoutOf, numeric, pane, panes, paneWidth, row, table, text } from "./figure.ts"
import { fixed, signed, span } from "./format.ts"
import type { Html } from "./html.ts"
import { endLabels, roomFor } from "./labels.ts"
import type { ReportData } from "./ReportData.ts"
import { type Arrangement, curveAlong, nameOf, scoreOf, type Series } from "./series.ts"
import { axisX, axisY, colourOf, draw, extent, type Frame, gridX, gridY, inkOf, ring, ruleY, symbol } from "./svg.ts"
import { viewsOf } from "./views.ts"

interface Place {
  /** Undefined at the end of a run that kept no snapshots. */
  readonly step: number | undefined
  readonly margin: number
  readonly chosen: number
}

/** The snapshots; where none were kept, the end alone. */
const placesOf = (series: Series): ReadonlyArray<Place> => {
  const margins = curveAlong(series, "marginChange")
  const chosen = curveAlong(series, "chosenChange")
  if (margins.length > 0 && margins.length === chosen.length) {
    return margins.map(({ mean, step }, i) => ({ step, margin: mean, chosen: chosen[i]!.mean }))
  }
  const [margin, change] = [scoreOf(series, "marginChange"), scoreOf(series, "chosenChange")]
  return margin === undefined || change === undefined
    ? []
    : [{ step: undefined, margin: margin.mean, chosen: change.mean }]
}

/** Where each replicate ended. */
const replicatesOf = ({ colour, runs }: Series) =>
  runs.length < 2
    ? []
    : runs.map(({ scores }) => ({ colour, margin: scores?.["marginChange"], chosen: scores?.["chosenChange"] }))

const paths = (series: Series, places: ReadonlyArray<Place>): Array<Plot.Markish> => {
  const title = ({ chosen, margin, step }: Place): string =>
    `${nameOf(series)}${step === undefined ? "" : `, step ${step}`}: chosen ${signed(chosen)}, margin ${signed(margin)}`
  const dot = { ...symbol(series.colour), x: "margin", y: "chosen", title }
  return [
    Plot.line([[0, 0], ...places.map(({ chosen, margin }) => [margin, chosen])] as Array<[number, number]>, {
      stroke: colourOf(series.colour),
      strokeWidth: 2,
      ...(places.length === 1 ? { strokeDasharray: "1 4", strokeOpacity: 0.8 } : {})
    }),
    Plot.dot(replicatesOf(series), { x: "margin", y: "chosen", r: 2, fill: inkOf, fillOpacity: 0.55 }),
    Plot.dot(places.slice(0, -1), { ...dot, r: 3, symbol: "circle" }),
    Plot.dot(places.slice(-1), { ...dot, r: 5.5 })
  ]
}

const plot = (series: ReadonlyArray<Series>, frame: Frame): Html => {
  const ends = series.flatMap((one) => {
    const end = placesOf(one).at(-1)
    return end === undefined ? [] : [{ name: one.name, colour: one.colour, x: end.margin, y: end.chosen }]
  })
  return draw({
    ...frame,
    marks: [
      gridX(frame.width > 400 ? 6 : 4),
      gridY(),
      Plot.ruleX([0], { stroke: "var(--rule)" }),
      ruleY(0),
      axisX("change of the margin, nats per token", { tickSize: 0, ticks: frame.width > 400 ? 6 : 4 }),
      axisY({ label: "change of the chosen answers, nats per token" }),
      series.map((one) => paths(one, placesOf(one))),
      Plot.dot([[0, 0]], ring),
      Plot.text([[0, 0]], { text: () => "start", dx: -8, dy: -9, textAnchor: "end", fill: "var(--ink)" }),
      endLabels(ends, frame, 90)
    ]
  }, "Change of the chosen answers against change of the margin, one path per objective, from the start at the origin")
}

const numbers = ({ series }: Arrangement): Html =>
  table(
    [...text("objective"), ...numeric("step", "margin, change", "chosen, change")],
    series.flatMap((one) =>
      placesOf(one).map(({ chosen, margin, step }) =>
        row(nameOf(one), step === undefined ? "last" : String(step), signed(margin), signed(chosen))
      )
    ),
    "small"
  )

/** `which` plot the frame is of. */
const caption = ({ replicateOver, replicates, series }: Arrangement, { x, y }: Frame, which: string): string => {
  const ends = series.flatMap((one) => placesOf(one).at(-1) ?? [])
  const snapshots = ends.some(({ step }) => step !== undefined)
  const size = ([low, high]: readonly [number, number]): string => fixed(high - low, 2)
  return [
    "Held-out pairs, change against the start. Right: the margin between chosen and rejected answers grew.",
    "Down: the chosen answers became less likely.",
    snapshots
      ? "One symbol per snapshot, the last one larger."
      : "No snapshots were kept: the symbols are the ends of training, the dotted lines only join them to the start.",
    ...(replicates > 1 ? [`Small dots: each ${replicateOver}; large symbols: their mean.`] : []),
    `At the end the margin had changed by ${
      span(ends.map(({ margin }) => margin), (value) => signed(value, 2))
    } and the chosen answers by ${span(ends.map(({ chosen }) => chosen), (value) => signed(value, 2))} nats per token.`,
    `The two scales differ: ${which} is ${size(x.domain)} nats wide and ${size(y.domain)} high.`
  ].join(" ")
}

const reach = (series: Series): ReadonlyArray<number> => {
  const places = placesOf(series)
  return [
    Math.max(0, ...places.map(({ margin }) => Math.abs(margin))),
    Math.max(0, ...places.map(({ chosen }) => Math.abs(chosen)))
  ]
}

const frameOf = (series: ReadonlyArray<Series>, names: ReadonlyArray<string>, layout: Layout): Frame => {
  const places = series.flatMap(placesOf)
  const ends = series.flatMap(replicatesOf)
  const x = extent([0, ...places.map(({ margin }) => margin), ...ends.flatMap(({ margin }) => margin ?? [])], 0.08)
  const y = extent([0, ...places.map(({ chosen }) => chosen), ...ends.flatMap(({ chosen }) => chosen ?? [])])
  return {
    width: paneWidth[layout],
    height: { one: 440, two: 400, three: 330 }[layout],
    marginLeft: 44,
    marginRight: roomFor(names) - 14,
    marginTop: 26,
    marginBottom: 40,
    x: { domain: [x.low, x.high] },
    y: { domain: [y.low, y.high] }
  }
}

/** Undefined where no change against a start was measured. */
export const displacementFigure = (_: ReportData, arrangement: Arrangement): Figure | undefined => {
  const { names, series } = arrangement
  if (!series.some((one) => placesOf(one).length > 0)) return undefined
  const views = viewsOf(arrangement, reach)
  const layout = layoutOf(views.length)
  const drawn = views.map((view) => pane(view.label, plot(view.series, frameOf(view.scale, names, layout))))
  return {
    id: "displacement",
    heading: "Does the margin grow, and what becomes of the chosen answers?",
    beside: layout === "one",
    plots: panes(layout, drawn),
    caption: caption(
      arrangement,
      frameOf(series, names, layout),
      views.length === 1 ? "the plot" : views[0]!.scale === views[1]!.scale ? "each plot" : "the first plot"
    ),
    numbers: numbers(arrangement)
  }
}
