// A batch as a loss sees it: log-probabilities per side, columns, running means. Leaves out token ids and packing.
import { FormulaError, type Rank, type Side } from "./Node.ts"

/** Mean and number of the rows seen so far: what a checkpoint keeps of a running mean. */
export interface RunningMean {
  readonly mean: number
  readonly count: number
}

/** One side of a batch, the tokens of all rows end to end. */
export interface SideInputs {
  /** [rows] tokens per row */
  readonly lengths: Int32Array
  /** [tokens] log-probabilities, nats */
  readonly policy: Float64Array
  readonly reference?: Float64Array
}

export interface Inputs {
  readonly rows: number
  readonly sides: Readonly<Partial<Record<Side, SideInputs>>>
  /** [rows] each */
  readonly columns?: Readonly<Record<string, Float64Array>>
  /** Running means before this batch; one that is missing starts empty. */
  readonly state?: Readonly<Record<string, RunningMean>>
}

/** Per side [tokens]: d(sum of the batch's values) / d(log-probability of the token). A side that gets no gradient is absent. */
export type Coefficients = Readonly<Partial<Record<Side, Float64Array>>>

export const sideInputs = ({ sides }: Inputs, side: Side) => {
  const found = sides[side]
  if (found === undefined) throw new FormulaError(`the batch has no side "${side}"`)
  return found
}

/** A batch that does not fit together is a bug of the caller, found before it becomes a wrong gradient. */
export const check = ({ columns = {}, rows, sides }: Inputs): void => {
  for (const [side, { lengths, policy, reference = policy }] of Object.entries(sides)) {
    const tokens = lengths.reduce((total, length) => total + length, 0)
    if (lengths.length !== rows || policy.length !== tokens || reference.length !== tokens) {
      throw new FormulaError(
        `side "${side}" has ${lengths.length} rows of ${tokens} tokens, not ${rows} of ${policy.length}`
      )
    }
  }
  for (const [name, { length }] of Object.entries(columns)) {
    if (length !== rows) throw new FormulaError(`column "${name}" has ${length} values for ${rows} rows`)
  }
}
/** Values that a rank has in this batch. */
export const sizeOf = (rank: Rank, inputs: Inputs): number =>
  rank === "row" ? inputs.rows : sideInputs(inputs, rank.slice("token:".length) as Side).policy.length
