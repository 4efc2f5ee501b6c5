// Many points of one experiment. Points are plain arrays, so concat, map and filter are the combinators.
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type { Artifact, Kind, Scores } from "./Artifact.ts"
import type { StoreError } from "./Errors.ts"
import { isObjective, labelOf } from "./Objective.ts"
import type { Executor, Step } from "./Step.ts"

type Axes = Readonly<Record<string, ReadonlyArray<unknown>>>
type Point<A> = { readonly [K in keyof A]: A[K] extends ReadonlyArray<infer V> ? V : never }

/** Every combination; the last axis moves fastest. */
export const grid = <const A extends Axes>(axes: A): ReadonlyArray<Point<A>> => {
  let points: Array<Record<string, unknown>> = [{}]
  for (const [axis, values] of Object.entries(axes)) {
    points = points.flatMap((point) => values.map((value) => Object.assign({}, point, { [axis]: value })))
  }
  return points as unknown as ReadonlyArray<Point<A>>
}

/** The first values of all axes, the second values, ...; axes of different lengths are a mistake in the pipeline. */
export const zip = <const A extends Axes>(axes: A): ReadonlyArray<Point<A>> => {
  const entries = Object.entries(axes)
  const lengths = new Set(entries.map(([, values]) => values.length))
  if (lengths.size > 1) {
    throw new RangeError(`zip: axes of different lengths (${entries.map(([k, v]) => `${k}: ${v.length}`).join(", ")})`)
  }
  const [length = 0] = lengths
  return Array.from(
    { length },
    (_, i) => Object.fromEntries(entries.map(([axis, values]) => [axis, values[i]]))
  ) as unknown as ReadonlyArray<Point<A>>
}

export interface Study<out P, out K extends Kind, out E>
  extends Effect.Effect<ReadonlyArray<{ readonly point: P; readonly artifact: Artifact<K> }>, E | StoreError, Executor>
{
  readonly _study: true
  readonly name: string
  readonly points: ReadonlyArray<{ readonly point: P; readonly label: string; readonly step: Step<K, E> }>
}

const value = (axis: string, at: unknown): string => {
  if (isObjective(at)) return labelOf(at)
  if (typeof at !== "object" || at === null || Array.isArray(at)) return `${axis}=${at}`
  if ("name" in at) return String(at.name)
  return Object.entries(at).map(([inner, each]) => value(`${axis}.${inner}`, each)).join(" ")
}

/** The label of a point: the objective with its non-default parameters, then the other axes, in the order of names. */
const pointLabel = (point: object): string =>
  Object.entries(point)
    .toSorted(([a, x], [b, y]) => Number(isObjective(y)) - Number(isObjective(x)) || (a < b ? -1 : 1))
    .map(([axis, at]) => value(axis, at))
    .join(" ")

/** Names the points and the graph at each. Adding a point runs only that point. */
export const study = <P extends object, K extends Kind, E>(
  name: string,
  points: ReadonlyArray<P>,
  at: (point: P) => Step<K, E>
): Study<P, K, E> => {
  const nodes = points.map((point) => ({ point, label: pointLabel(point), step: at(point) }))
  const artifacts = Effect.suspend(() =>
    Effect.forEach(nodes, ({ point, step }) => Effect.map(step, (artifact) => ({ point, artifact })), {
      concurrency: "unbounded"
    })
  )
  return {
    ...Effectable.Prototype<Study<P, K, E>>({ label: name, evaluate: () => artifacts }),
    _study: true,
    name,
    points: nodes
  } as Study<P, K, E>
}

export const isStudy = (x: unknown): x is Study<object, Kind, unknown> =>
  typeof x === "object" && x !== null && "_study" in x && "points" in x

/** A guarded table: mean and interval of a metric per value of an axis, and everything else that differs between rows. */
export interface Comparison {
  readonly _comparison: true
  readonly study: Study<object, Kind, unknown>
  readonly metric: string
  readonly rows: string
  readonly replicateOver?: string
}

export const compare = <P extends object, T extends string, E>(
  study: Study<P, Scores<T>, E>,
  options: {
    readonly metric: NoInfer<T>
    readonly rows: keyof NoInfer<P> & string
    readonly replicateOver?: keyof NoInfer<P> & string
  }
): Comparison => ({ _comparison: true, study: study as unknown as Study<object, Kind, unknown>, ...options })

export const isComparison = (x: unknown): x is Comparison => typeof x === "object" && x !== null && "_comparison" in x
