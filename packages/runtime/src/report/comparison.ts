// A guarded comparison: mean and interval per value of an axis, paired differences over the replicates, and every other
// component that differs between the rows. Says which variance its intervals cover.
import { isObjective, labelOf } from "@penchant/dsl/Objective"
import type { AnyStep } from "@penchant/dsl/Step"
import type { Comparison } from "@penchant/dsl/Study"
import type { ComparisonData } from "./ReportData.ts"

/** Two-sided 95 % quantiles of Student's t, by degrees of freedom; the normal's from 30 on. */
const quantiles = [
  12.706,
  4.303,
  3.182,
  2.776,
  2.571,
  2.447,
  2.365,
  2.306,
  2.262,
  2.228,
  2.201,
  2.179,
  2.16,
  2.145,
  2.131,
  2.12,
  2.11,
  2.101,
  2.093,
  2.086,
  2.08,
  2.074,
  2.069,
  2.064,
  2.06,
  2.056,
  2.052,
  2.048,
  2.045
]

/** Mean with a 95 % t-interval; one value has no interval, so it is its own. */
export const estimate = (
  values: ReadonlyArray<number>
): { readonly mean: number; readonly low: number; readonly high: number } => {
  const n = values.length
  const mean = values.reduce((sum, value) => sum + value, 0) / n
  if (n < 2) return { mean, low: mean, high: mean }
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1)
  const half = (quantiles[n - 2] ?? 1.96) * Math.sqrt(variance / n)
  return { mean, low: mean - half, high: mean + half }
}

const differences = (a: unknown, b: unknown, at: string, found: Set<string>): void => {
  if (a === b) return
  if (typeof a === "object" && typeof b === "object" && a !== null && b !== null) {
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
      differences(
        (a as Record<string, unknown>)[key],
        (b as Record<string, unknown>)[key],
        at === "" ? key : `${at}.${key}`,
        found
      )
    }
  } else found.add(at)
}

/** Names of components that differ between two graphs, such as `train.recipe.learningRate`. What both share is skipped at once. */
export const differingComponents = (a: AnyStep, b: AnyStep, found = new Set<string>()): Set<string> => {
  if (a === b) return found
  if (a.kind !== b.kind) found.add(`${a.kind} or ${b.kind}`)
  differences(a.parameters, b.parameters, a.kind, found)
  differences(a.sources, b.sources, `${a.kind} source`, found)
  for (const name of new Set([...Object.keys(a.inputs), ...Object.keys(b.inputs)])) {
    const [left, right] = [a.inputs[name], b.inputs[name]]
    if (left === undefined || right === undefined) found.add(`${a.kind} input ${name}`)
    else differingComponents(left, right, found)
  }
  return found
}

/** What an axis moves by its nature: an objective its formula and its reference, any other the parameter of its name. */
const explains = (axis: string, value: unknown, component: string): boolean =>
  isObjective(value)
    ? component.startsWith("train.objective") || component === "train input reference"
    : component.split(".").includes(axis)

const shown = (value: unknown): string => (isObjective(value) ? labelOf(value) : String(value))

type Point = Readonly<Record<string, unknown>>

/** `numbers` gives the scores of a point's step, undefined when it has not run. */
export const comparisonData = (
  { metric, replicateOver, rows, study }: Comparison,
  numbers: (step: AnyStep) => Readonly<Record<string, number>> | undefined
): ComparisonData => {
  const points = study.points.map(({ point, step }) => ({ point: point as Point, step }))
  const label = (point: Point): string => {
    const others = Object.keys(point).filter((axis) => axis !== rows && axis !== replicateOver)
    return [shown(point[rows]), ...others.map((axis) => `${axis}=${shown(point[axis])}`)].join(" ")
  }
  const groups = Map.groupBy(points, ({ point }) => label(point))
  const values = (group: typeof points): ReadonlyMap<unknown, number> =>
    new Map(group.flatMap(({ point, step }) => {
      const value = numbers(step)?.[metric]
      return value === undefined ? [] : [[replicateOver === undefined ? 0 : point[replicateOver], value] as const]
    }))
  const first = values([...groups.values()][0] ?? [])
  const done = [...groups].flatMap(([name, group], i) => {
    const mine = values(group)
    if (mine.size === 0) return []
    const paired = [...mine].flatMap((
      [replicate, value]
    ) => (first.has(replicate) ? [value - first.get(replicate)!] : []))
    const row = { label: name, n: mine.size, ...estimate([...mine.values()]) }
    return [i === 0 || paired.length === 0 ? row : { ...row, difference: estimate(paired) }]
  })

  const differs = new Set<string>()
  const [one] = points
  for (const other of points) {
    if (one === undefined) break
    const moved = Object.keys(other.point).filter((axis) => other.point[axis] !== one.point[axis])
    for (const component of differingComponents(one.step, other.step)) {
      const known = moved.some((axis) => explains(axis, other.point[axis], component))
      if (!known) differs.add(component)
    }
  }
  for (const axis of Object.keys(one?.point ?? {})) {
    if (axis !== rows && axis !== replicateOver && new Set(points.map(({ point }) => point[axis])).size > 1) {
      differs.add(axis)
    }
  }
  const axes = Object.keys(one?.point ?? {})
  const notes = [
    replicateOver === undefined
      ? "One run per row: no interval."
      : `Intervals are over ${replicateOver} alone (95 %, Student's t): not over the draw of the data.`,
    ...(rows === "objective" && !axes.includes("learningRate")
      ? ["The learning rate was not tuned per objective."]
      : [])
  ]
  return { metric, rows: done, differsIn: [...differs].toSorted(), notes }
}
