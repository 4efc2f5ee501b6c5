// The program of an objective, whether it is a formula or plain functions: what a training loop and a report run.
import {
  type Coefficients,
  compile,
  type Evaluation,
  type Inputs,
  isFiniteArray,
  type NonFinite,
  nonFiniteRows,
  type Program
} from "./Evaluate.ts"
import { FormulaError, type Side } from "./Formula.ts"
import { type Custom, isCustom, type Objective } from "./Objective.ts"

const expectLength = (what: string, values: Float64Array, length: number): void => {
  if (values.length !== length) throw new FormulaError(`${what} returned ${values.length} values for ${length}`)
}

const customProgram = (loss: Custom, parameters: Objective["parameters"]): Program => {
  let last: { readonly inputs: Inputs; readonly value: Float64Array; readonly coefficients: Coefficients } | undefined
  const lengthsOf = (inputs: Inputs, side: string): Int32Array | undefined => inputs.sides[side as Side]?.lengths
  return {
    run: (inputs): Evaluation => {
      const value = loss.value(inputs, parameters)
      const coefficients = loss.coefficients(inputs, parameters)
      expectLength(`value of ${loss.export}`, value, inputs.rows)
      for (const [side, each] of Object.entries(coefficients)) {
        const tokens = lengthsOf(inputs, side)?.reduce((total, length) => total + length, 0) ?? 0
        expectLength(`coefficients.${side} of ${loss.export}`, each, tokens)
      }
      last = { inputs, value, coefficients }
      return { value, coefficients, metrics: {}, state: {} }
    },
    nonFinite: (): NonFinite | undefined => {
      if (last === undefined) return undefined
      const { coefficients, inputs, value } = last
      if (!isFiniteArray(value)) return { term: `value of ${loss.export}`, rows: nonFiniteRows(value) }
      for (const [side, each] of Object.entries(coefficients)) {
        if (isFiniteArray(each)) continue
        return { term: `coefficients.${side} of ${loss.export}`, rows: nonFiniteRows(each, lengthsOf(inputs, side)) }
      }
      return undefined
    }
  }
}

/** Compiles once; `run` is then called per batch. */
export const program = ({ loss, metrics, parameters }: Objective): Program =>
  isCustom(loss)
    ? customProgram(loss, parameters)
    : compile(
      loss.node,
      parameters,
      Object.fromEntries(Object.entries(metrics).map(([name, { node }]) => [name, node]))
    )
