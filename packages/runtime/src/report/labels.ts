// Names at the ends of lines instead of a legend: moved apart where they would collide, joined to their lines by a hair.
import * as Plot from "@observablehq/plot"
import { colourOf, type Frame, inkOf, letterOf, unitsOf } from "./svg.ts"

/**
 * The nearest positions (least squares) in the same order with `gap` between neighbours, inside [low, high] if they fit;
 * equal positions are stacked downwards. Taking the gaps off turns the constraint into monotony, which pooling adjacent
 * violators solves.
 */
export const spread = (
  positions: ReadonlyArray<number>,
  gap: number,
  low: number,
  high: number
): ReadonlyArray<number> => {
  const order = positions.map((_, i) => i).toSorted((a, b) => positions[a]! - positions[b]! || b - a)
  const pools: Array<{ readonly total: number; readonly size: number }> = []
  order.forEach((index, rank) => {
    let pool = { total: positions[index]! - rank * gap, size: 1 }
    for (let last = pools.at(-1); last !== undefined && last.total / last.size >= pool.total / pool.size;) {
      pool = { total: pool.total + last.total, size: pool.size + last.size }
      pools.pop()
      last = pools.at(-1)
    }
    pools.push(pool)
  })
  const top = high - (positions.length - 1) * gap
  const placed = pools.flatMap(({ size, total }) =>
    Array.from({ length: size }, () => Math.max(low, Math.min(top, total / size)))
  )
  const result = positions.map(() => 0)
  order.forEach((index, rank) => {
    result[index] = placed[rank]! + rank * gap
  })
  return result
}

/** Room in pixels that the longest of these names takes beside a plot, its hair included. */
export const roomFor = (names: ReadonlyArray<string>): number =>
  26 + 6.6 * Math.max(0, ...names.map((name) => name.length))

export interface End {
  readonly name: string
  readonly colour: number
  readonly x: number
  readonly y: number
}

/** Ends whose names would touch: they stand in one column, right of the rightmost end. */
export const clusters = (ends: ReadonlyArray<End>, nearX: number, nearY: number): ReadonlyArray<ReadonlyArray<End>> => {
  const groups: Array<Array<End>> = []
  for (const end of ends.toSorted((a, b) => b.y - a.y)) {
    const group = groups.find((others) =>
      others.some((other) => Math.abs(other.x - end.x) < nearX && Math.abs(other.y - end.y) < nearY)
    )
    if (group === undefined) groups.push([end])
    else group.push(end)
  }
  return groups
}

/** `nearX` in pixels: how close ends are that share a column. Infinite for lines that all end at the right edge. */
export const endLabels = (
  ends: ReadonlyArray<End>,
  frame: Frame,
  nearX = Number.POSITIVE_INFINITY
): Array<Plot.Markish> => {
  const unit = unitsOf(frame)
  const gap = 14 * unit.y
  const groups = nearX === Number.POSITIVE_INFINITY ? [ends] : clusters(ends, nearX * unit.x, 1.2 * gap)
  const labels = groups.flatMap((group) => {
    const at = spread(group.map(({ y }) => y), gap, ...frame.y.domain)
    const right = group.reduce((a, { x }) => (unit.x > 0 ? Math.max(a, x) : Math.min(a, x)), group[0]?.x ?? 0)
    return group.map(({ colour, name, x, y }, i) => ({
      name,
      colour,
      from: x + 6 * unit.x,
      to: right + 16 * unit.x,
      y,
      at: at[i]!
    }))
  })
  return [
    Plot.link(labels, {
      x1: "from",
      x2: "to",
      y1: "y",
      y2: "at",
      stroke: inkOf,
      strokeWidth: 0.75,
      strokeOpacity: 0.6
    }),
    Plot.text(labels, {
      x: "to",
      y: "at",
      dx: 3,
      text: "name",
      textAnchor: "start",
      fontWeight: 500,
      fill: letterOf,
      stroke: "var(--paper)",
      strokeWidth: 4
    })
  ]
}

/** Groups of curves that lie on each other within `tolerance` at every point. */
export const coinciding = (
  curves: ReadonlyArray<ReadonlyArray<number>>,
  tolerance: number
): ReadonlyArray<ReadonlyArray<number>> => {
  const groups: Array<Array<number>> = []
  curves.forEach((curve, index) => {
    const group = groups.find(([first]) => {
      const other = curves[first!]!
      return other.length === curve.length && curve.every((value, i) => Math.abs(value - other[i]!) <= tolerance)
    })
    if (group === undefined) groups.push([index])
    else group.push(index)
  })
  return groups
}

export interface Line {
  readonly name: string
  readonly colour: number
  readonly points: ReadonlyArray<readonly [x: number, y: number]>
}

/** Lines that coincide (within a pixel) are dashed in turn, so that each colour shows. */
export const lines = (all: ReadonlyArray<Line>, frame: Frame, style: Plot.LineOptions = {}): Array<Plot.Markish> =>
  coinciding(all.map(({ points }) => points.map(([, y]) => y)), unitsOf(frame).y).flatMap((group) =>
    group.map((index, turn) => {
      const { colour, points } = all[index]!
      const dashed: Plot.LineOptions = group.length === 1
        ? {}
        : { strokeDasharray: `7 ${7 * (group.length - 1)}`, strokeDashoffset: -7 * turn, strokeLinecap: "butt" }
      return Plot.line(points as Array<[number, number]>, {
        stroke: colourOf(colour),
        strokeWidth: 2,
        ...style,
        ...dashed
      })
    })
  )

/** The last point of every line that has one. */
export const endsOf = (all: ReadonlyArray<Line>): ReadonlyArray<End> =>
  all.flatMap(({ colour, name, points }) => {
    const end = points.at(-1)
    return end === undefined ? [] : [{ name, colour, x: end[0], y: end[1] }]
  })
