// The value of a loss and of its gradient, float64, a whole batch in one pass. Leaves out objectives given as plain
// functions (Loss.ts) and engines that run a formula inside their own graph.
import { gradients } from "./Differentiate.ts"
import type { Coefficients, Inputs, RunningMean } from "./Inputs.ts"
import { type Node, type Side } from "./Node.ts"
import { toText } from "./Print.ts"
import { simplify } from "./Simplify.ts"
import { type Tape, tape } from "./Tape.ts"

export type { Coefficients, Inputs, RunningMean, SideInputs } from "./Inputs.ts"

export interface Evaluation {
  /** [rows] */
  readonly value: Float64Array
  readonly coefficients: Coefficients
  /** [rows] each */
  readonly metrics: Readonly<Record<string, Float64Array>>
  /** Running means after this batch. */
  readonly state: Readonly<Record<string, RunningMean>>
}

/** The first part of a loss that is not a number or infinite, as text, and the rows (0-based) where. */
export interface NonFinite {
  readonly term: string
  readonly rows: ReadonlyArray<number>
}

export interface Program {
  /** Arrays of the result are the caller's to keep. */
  readonly run: (inputs: Inputs) => Evaluation
  /** Looks at the last run; undefined when its values and coefficients are all finite. */
  readonly nonFinite: () => NonFinite | undefined
}

export const isFiniteArray = (values: Float64Array): boolean => values.every(Number.isFinite)

/** Rows with a value that is not finite; `lengths` when there is one value per token. */
export const nonFiniteRows = (values: Float64Array, lengths?: Int32Array): ReadonlyArray<number> => {
  const bad: Array<number> = []
  let t = 0
  for (let row = 0; row < (lengths ?? values).length; row++) {
    const start = t
    t += lengths?.[row] ?? 1
    if (!isFiniteArray(values.subarray(start, t))) bad.push(row)
  }
  return bad
}

const blame = (program: Tape, inputs: Inputs): NonFinite | undefined => {
  if (program.roots.every((root) => isFiniteArray(program.read(root)))) return undefined
  // children come before their parents, so the first one is where it starts
  const first = program.slots.findIndex((_, i) => !isFiniteArray(program.read(i)))
  const { node, rank } = program.slots[first]!
  const lengths = rank === "row" ? undefined : inputs.sides[rank.slice("token:".length) as Side]?.lengths
  return { term: toText(node), rows: nonFiniteRows(program.read(first), lengths) }
}

/** Value and coefficients of a loss per row; `metrics` are further values per row. Throws `FormulaError` for a missing parameter. */
export const compile = (
  loss: Node,
  parameters: Readonly<Record<string, number>>,
  metrics: Readonly<Record<string, Node>> = {}
): Program => {
  const slopes = Object.entries(gradients(loss)) as ReadonlyArray<[Side, Node]>
  const extra = Object.entries(metrics)
  const program = tape([
    [simplify(loss), "row"],
    ...slopes.map(([side, node]) => [node, `token:${side}`] as const),
    ...extra.map(([, node]) => [simplify(node), "row"] as const)
  ], parameters)
  const results = program.roots
  let last: Inputs | undefined
  const copy = (i: number): Float64Array => program.read(results[i]!).slice()
  return {
    run: (inputs) => {
      const state = program.run(inputs)
      last = inputs
      return {
        value: copy(0),
        coefficients: Object.fromEntries(slopes.map(([side], i) => [side, copy(1 + i)])),
        metrics: Object.fromEntries(extra.map(([name], i) => [name, copy(1 + slopes.length + i)])),
        state
      }
    },
    nonFinite: () => (last === undefined ? undefined : blame(program, last))
  }
}

/** The values of a formula per row, without its gradient. */
export const evaluate = (formula: Node, parameters: Readonly<Record<string, number>>, inputs: Inputs): Float64Array => {
  const program = tape([[simplify(formula), "row"]], parameters)
  program.run(inputs)
  return program.read(program.roots[0]!).slice()
}
