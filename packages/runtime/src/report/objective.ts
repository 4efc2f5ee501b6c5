// An objective as a report shows it: its formula, and how hard it pulls on each answer, read off the formula.
import { gradientWeights } from "@penchant/dsl/GradientWeights"
import { isCustom, labelOf, needsOf, type Objective } from "@penchant/dsl/Objective"
import { toText } from "@penchant/dsl/Print"
import { toMathMl } from "./mathml.ts"
import type { ObjectiveData, Pull } from "./ReportData.ts"

export const objectiveData = (objective: Objective): ObjectiveData => ({
  name: labelOf(objective),
  formula: isCustom(objective.loss)
    ? { text: `${objective.loss.export}, functions of its own` }
    : { text: toText(objective.loss.node), mathml: toMathMl(objective.loss.node) },
  parameters: objective.parameters
})

/** Log-ratios per token from -2 to 0.5. */
const grid = Array.from({ length: 51 }, (_, i) => (i - 40) / 20)
/** Tokens of either answer: matters to objectives that exponentiate a sum over them. */
const length = 64

/**
 * The size of the gradient on each answer while both move by the same log-ratio per token, both of 64 tokens.
 * Undefined where that says nothing: without two sides, with columns of the data or a coupled batch, or not finite.
 */
export const gradientShare = (objective: Objective): ReadonlyArray<Pull> | undefined => {
  const needs = needsOf(objective)
  if (!needs.has("side:chosen") || !needs.has("side:rejected")) return undefined
  if ([...needs].some((need) => need === "batch" || need === "state" || need.startsWith("column:"))) return undefined
  const { chosen, rejected } = gradientWeights(objective, {
    chosenLogRatio: grid,
    rejectedLogRatio: grid,
    chosenLength: length,
    rejectedLength: length
  })
  const curve = grid.map((logRatio, i) => ({ logRatio, chosen: chosen[i]!, rejected: rejected[i]! }))
  return curve.every((at) => Number.isFinite(at.chosen + at.rejected)) ? curve : undefined
}
