// An objective as training runs it: float64 values and coefficients of a scored batch, and what it needs to be given.
// Nothing here knows which objective it is: that is read off its formula, or said by a custom one.
import type { Evaluation, Inputs, NonFinite } from "@penchant/dsl/Evaluate"
import type { Side } from "@penchant/dsl/Formula"
import { program } from "@penchant/dsl/Loss"
import { isCustom, needsOf, type Objective } from "@penchant/dsl/Objective"
import { simplify } from "@penchant/dsl/Simplify"
import type { FusedLoss } from "../compute/Engine.ts"
import { type Measured, pullOf } from "./summary.ts"
import { inBatchOrder, inputsOf, type Scored } from "./tokens.ts"

export interface Loss {
  readonly name: string
  /** The branches that are packed, in the order of the data. */
  readonly sides: ReadonlyArray<Side>
  readonly needsReference: boolean
  /** The rows of a batch depend on each other: the whole optimiser step is evaluated at once. */
  readonly coupled: boolean
  readonly per: "pair" | "token"
  /** What rewards are scaled by. */
  readonly beta: number
  /** Absent when the engine cannot run it inside: it couples the batch, or is no formula. */
  readonly fused: FusedLoss | undefined
  /** `scale` multiplies the coefficients; the values are per row, unscaled. */
  readonly measure: (scored: Scored, scale: number, state: Inputs["state"]) => {
    readonly measured: Measured
    readonly state: Evaluation["state"]
    readonly nonFinite: NonFinite | undefined
  }
}

/** The same batch where policy and reference agree (both 0 without a reference). */
const neutralOf = (inputs: Inputs): Inputs => ({
  ...inputs,
  sides: Object.fromEntries(
    Object.entries(inputs.sides).map(([side, values]) => [
      side,
      { ...values, policy: values.reference ?? new Float64Array(values.policy.length) }
    ])
  )
})

/** Throws when the objective asks for a side that the data does not have: the types refuse that in a pipeline. */
export const lossOf = (objective: Objective, data: { readonly sides: ReadonlyArray<string> }): Loss => {
  const needs = needsOf(objective)
  const asked = [...needs].filter((need) => need.startsWith("side:")).map((need) => need.slice(5))
  const absent = asked.find((side) => !data.sides.includes(side))
  if (absent !== undefined || asked.length === 0) {
    throw new Error(`objective "${objective.name}" needs ${absent ?? "no side"}; the data has ${data.sides.join(", ")}`)
  }
  const sides = data.sides.filter((side) => asked.includes(side)) as ReadonlyArray<Side>
  const compiled = program(objective)
  const coupled = needs.has("batch") || needs.has("state")
  return {
    name: objective.name,
    sides,
    needsReference: needs.has("reference"),
    coupled,
    per: objective.per,
    beta: objective.parameters["beta"] ?? 1,
    fused: coupled || isCustom(objective.loss)
      ? undefined
      : { formula: simplify(objective.loss.node), parameters: objective.parameters, sides },
    measure: (scored, scale, before) => {
      const inputs = inputsOf(scored, before)
      const { coefficients: perSide, metrics, state, value } = compiled.run(inputs)
      const nonFinite = compiled.nonFinite()
      const coefficients = inBatchOrder(scored, perSide, scale)
      const neutral = inBatchOrder(scored, compiled.run(neutralOf(inputs)).coefficients, scale)
      return {
        measured: {
          scored,
          values: value,
          coefficients,
          pull: pullOf(scored, coefficients),
          neutral: pullOf(scored, neutral),
          metrics
        },
        state,
        nonFinite
      }
    }
  }
}
