// Panel: log-probability per token of chosen and rejected answers, over training and held out.
import * as Plot from "@observablehq/plot"
import { type Figure, numeric, pane, panes, paneWidth, row, table, text } from "./figure.ts"
import { count, fixed, list, span } from "./format.ts"
import type { Html } from "./html.ts"
import { endLabels, endsOf, type Line, lines, roomFor } from "./labels.ts"
import type { ReportData } from "./ReportData.ts"
import { type Along, type Arrangement, curveAlong, metricAlong, nameOf, scoreOf, type Series } from "./series.ts"
import { pairsOf } from "./statements.ts"
import { axisX, axisY, colourOf, draw, extent, type Frame, gridY, ring, symbol } from "./svg.ts"
import { viewsOf } from "./views.ts"

type Side = "chosen" | "rejected"
const sides: ReadonlyArray<Side> = ["chosen", "rejected"]
const training = (series: Series, side: Side): ReadonlyArray<Along> => metricAlong(series, `logps_per_token/${side}`)
const heldOut = (series: Series, side: Side): ReadonlyArray<Along> => curveAlong(series, `${side}LogProb`)

const plot = (series: ReadonlyArray<Series>, side: Side, start: number | undefined, frame: Frame): Html => {
  const bands = series.filter(({ runs }) => runs.length > 1)
  const trained: ReadonlyArray<Line> = series.map(({ colour, name }, i) => ({
    name,
    colour,
    points: training(series[i]!, side).map(({ mean, step }) => [step, mean])
  }))
  return draw({
    ...frame,
    marks: [
      gridY(),
      axisY(),
      axisX("step"),
      bands.map((one) =>
        Plot.areaY(training(one, side), {
          x: "step",
          y1: "low",
          y2: "high",
          fill: colourOf(one.colour),
          fillOpacity: 0.1
        })
      ),
      lines(trained, frame, { strokeWidth: 1.5 }),
      start === undefined ? null : Plot.dot([[0, start]], { ...ring, title: () => `start: ${fixed(start)}` }),
      series.map((one) =>
        Plot.dot(heldOut(one, side), {
          x: "step",
          y: "mean",
          r: 4.5,
          ...symbol(one.colour),
          title: ({ mean, step }: Along) => `${one.name}, step ${step}, held out: ${fixed(mean)}`
        })
      ),
      endLabels(endsOf(trained), frame)
    ]
  }, `Log-probability per token of the ${side} answers over training steps, one line per objective`)
}

/** Every step of a short run, evenly chosen ones of a long one. */
const thinned = (steps: ReadonlyArray<number>, most = 48): ReadonlyArray<number> => {
  const every = Math.ceil(steps.length / most)
  return steps.filter((_, i) => i % every === 0 || i === steps.length - 1)
}

const stepsOf = (columns: ReadonlyArray<ReadonlyArray<Along>>): ReadonlyArray<number> => [
  ...new Set(columns.flatMap((along) => along.map(({ step }) => step)))
]

const numbers = ({ series }: Arrangement): Html => {
  const columns = ["chosen, training", "rejected, training", "chosen, held out", "rejected, held out"]
  const rows = series.flatMap((one) => {
    const [trained, held] = [sides.map((side) => training(one, side)), sides.map((side) => heldOut(one, side))]
    const steps = [...new Set([...thinned(stepsOf(trained)), ...stepsOf(held)])].toSorted((a, b) => a - b)
    return steps.map((step) =>
      row(
        nameOf(one),
        String(step),
        [...trained, ...held].map((along) => {
          const at = along.find((each) => each.step === step)
          return at === undefined ? undefined : fixed(at.mean)
        })
      )
    )
  })
  return table([...text("objective"), ...numeric("step", ...columns)], rows, "small")
}

const caption = (data: ReportData, { replicateOver, replicates, series }: Arrangement, snapshots: boolean): string => {
  const batches = [...new Set(data.runs.flatMap(({ recipe }) => recipe?.["batchSize"] ?? []))]
  const changes = series.flatMap((one) => {
    const change = scoreOf(one, "chosenChange")
    return change === undefined ? [] : [{ name: nameOf(one), mean: change.mean }]
  })
  const raised = changes.filter(({ mean }) => mean > 0)
  return [
    `Mean log-probability per token, in nats. Lines: ${
      batches.length === 1 ? `the ${batches[0]} pairs` : "the pairs"
    } of each training step, before its update${
      replicates > 1 ? `; mean over ${count(replicates, replicateOver)}, the band is their range` : ""
    }.`,
    snapshots
      ? `Symbols: ${pairsOf(data)} at the snapshots${
        data.start === undefined ? "" : "; the ring at step 0 is the start"
      }.`
      : "",
    changes.length === 0
      ? ""
      : `Held out, at the end of training, the chosen answers changed by ${
        span(changes.map(({ mean }) => mean), (value) => fixed(value, 2))
      } nats per token against the start: ${
        raised.length === 0
          ? "every run here made them less likely."
          : raised.length === changes.length
          ? "every run here made them more likely."
          : `more likely after ${list(raised.map(({ name }) => name))}, not after the others.`
      }`
  ].filter((part) => part !== "").join(" ")
}

/** From the least to the most likely, in nats per token. */
const reach = (series: Series): ReadonlyArray<number> => {
  const values = sides.flatMap((side) => [...training(series, side), ...heldOut(series, side)].map(({ mean }) => mean))
  return [values.length === 0 ? 0 : Math.max(...values) - Math.min(...values)]
}

const frameOf = (
  series: ReadonlyArray<Series>,
  starts: ReadonlyArray<number>,
  names: ReadonlyArray<string>,
  height: number
): Frame => {
  const all = series.flatMap((one) => sides.flatMap((side) => [...training(one, side), ...heldOut(one, side)]))
  const y = extent([...all.flatMap(({ high, low }) => [high, low]), ...starts], 0.04)
  return {
    width: paneWidth.two,
    height,
    marginLeft: 44,
    marginRight: roomFor(names),
    marginTop: 12,
    marginBottom: 38,
    x: { domain: [0, Math.max(...all.map(({ step }) => step))] },
    y: { domain: [y.low, y.high] }
  }
}

/** Undefined where no run was trained on pairs. */
export const likelihoodFigure = (data: ReportData, arrangement: Arrangement): Figure | undefined => {
  const { facets, names, series } = arrangement
  if (!series.some((one) => sides.some((side) => training(one, side).length + heldOut(one, side).length > 0))) {
    return undefined
  }
  const start = (side: Side): number | undefined => data.start?.scores[`${side}LogProb`]
  const starts = sides.flatMap((side) => start(side) ?? [])
  const drawn = viewsOf(arrangement, reach).flatMap((view) => {
    const frame = frameOf(view.scale, starts, names, facets.length > 1 ? 250 : 340)
    return sides.map((side) =>
      pane(
        `${view.label === "" ? "" : `${view.label}: `}${side} answers, nats per token`,
        plot(view.series, side, start(side), frame)
      )
    )
  })
  return {
    id: "likelihood",
    heading: "How likely are the answers, step by step?",
    plots: panes("two", drawn),
    caption: caption(data, arrangement, series.some((one) => heldOut(one, "chosen").length > 0)),
    numbers: numbers(arrangement)
  }
}
