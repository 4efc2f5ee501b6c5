// Evaluation of a formula in float64 over a whole batch: values per row and one coefficient per token.
import type { Side } from "./Node.ts"

/** Mean and number of the rows seen so far. */
export interface RunningMean {
  readonly mean: number
  readonly count: number
}

/** One side of a batch: per-token values of all rows end to end. */
export interface SideInputs {
  /** [rows] tokens per row */
  readonly lengths: Int32Array
  /** [tokens] nats */
  readonly policy: Float64Array
  readonly reference?: Float64Array
}

export interface Inputs {
  readonly rows: number
  readonly sides: Readonly<Partial<Record<Side, SideInputs>>>
  /** [rows] each */
  readonly columns?: Readonly<Record<string, Float64Array>>
  readonly state?: Readonly<Record<string, RunningMean>>
}

/** Per side, [tokens]. */
export type Coefficients = Readonly<Partial<Record<Side, Float64Array>>>
