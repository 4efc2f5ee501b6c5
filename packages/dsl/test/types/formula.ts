// Mistakes in formulas and objectives that must not compile. Checked by tsc with the rest of the tree; never run.
import { derivative, substitute } from "@penchant/dsl/Differentiate"
import {
  batchMean,
  batchSort,
  column,
  constant,
  detach,
  exp,
  type Formula,
  length,
  log,
  logSigmoid,
  max,
  mean,
  minus,
  type Need,
  negate,
  over,
  parameter,
  plus,
  policy,
  reference,
  runningMean,
  type Scalar,
  square,
  sum,
  times,
  variable
} from "@penchant/dsl/Formula"
import { logRatio, meanLogRatio, type Objective, objective, ratioOf } from "@penchant/dsl/Objective"
import { dil, dpo, nll, simpo } from "@penchant/objectives"

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
type NeedsOf<O> = O extends Objective<infer N> ? N : O extends Formula<infer N, any> ? N : never

// ---- what is inferred
type Pair = "side:chosen" | "side:rejected"
export const needs: readonly [
  Equal<NeedsOf<ReturnType<typeof dpo>>, "policy" | "reference" | Pair>,
  Equal<NeedsOf<ReturnType<typeof simpo>>, "policy" | Pair>,
  Equal<NeedsOf<ReturnType<typeof nll>>, "policy" | "side:chosen">,
  Equal<NeedsOf<ReturnType<typeof dil.lsif>>, "policy" | "reference" | Pair>
] = [true, true, true, true]
const weighted = times(column("weight"), logRatio("chosen"))
const coupled = minus(logRatio("answer"), runningMean("delta", logRatio("answer")))
export const more: readonly [
  Equal<NeedsOf<typeof weighted>, "column:weight" | "policy" | "reference" | "side:chosen">,
  Equal<NeedsOf<typeof coupled>, "policy" | "reference" | "side:answer" | "batch" | "state">
] = [true, true]
export const anyObjective: ReadonlyArray<Objective> = [dpo(), simpo(), nll(), dil.bce()]
export const perToken: Formula<"policy" | "side:chosen", "token:chosen"> = times(2, policy("chosen"))

// ---- ranks
// @ts-expect-error tokens of two sides cannot meet
plus(policy("chosen"), policy("rejected"))
// @ts-expect-error not even under a function
minus(exp(policy("chosen")), square(reference("rejected")))
// @ts-expect-error nor inside a product of a row value
times(times(length("chosen"), policy("chosen")), policy("rejected"))
// @ts-expect-error sum is over tokens; this is per row
sum(length("chosen"))
// @ts-expect-error summed twice
sum(sum(policy("chosen")))
// @ts-expect-error mean is over tokens
mean(logRatio("chosen"))
// @ts-expect-error batchMean is over rows; these are tokens
batchMean(policy("chosen"))
// @ts-expect-error so is batchSort
batchSort(times(2, policy("chosen")))
// @ts-expect-error and a running mean
runningMean("delta", policy("chosen"))
// @ts-expect-error a value per token is no value per row
export const row: Formula<Need> = policy("chosen")

// ---- names and arguments
// @ts-expect-error no such side
policy("choosen")
// @ts-expect-error no such side
logRatio("accepted")
// @ts-expect-error no such aggregation
ratioOf("chosen", "average")
// @ts-expect-error a string is no formula
plus("beta", 1)
// @ts-expect-error a function needs a formula, not a number
log(2)
// @ts-expect-error max takes two
max(policy("chosen"))
// @ts-expect-error a node without its phantom types is no formula
negate({ node: { _tag: "Constant", value: 1 } })
// @ts-expect-error constants are numbers
constant("1")

// ---- objectives
// @ts-expect-error a loss without the policy
objective("constant", { a: 1 }, ({ a }) => a)
// @ts-expect-error the reference alone cannot be trained
objective("reference", {}, () => sum(reference("chosen")))
// @ts-expect-error a column alone cannot be trained
objective("column", {}, () => column("weight"))
// @ts-expect-error a loss is one value per row
objective("tokens", {}, () => negate(policy("chosen")))
// @ts-expect-error misspelt parameter
objective("dpo", { beta: 0.1 }, ({ bata }) => times(bata, logRatio("chosen")))
// @ts-expect-error a parameter is a number
objective("dpo", { beta: "0.1" }, () => logRatio("chosen"))
// @ts-expect-error a loss is a formula, not a number
objective("dpo", { beta: 0.1 }, () => 1)
// @ts-expect-error a metric may not need more than the loss
objective("sum", {}, () => negate(sum(policy("chosen"))), { metrics: { kl: meanLogRatio("chosen") } })
// @ts-expect-error divided by pairs or tokens
objective("sum", {}, () => negate(sum(policy("chosen"))), { per: "batch" })
objective.custom(import.meta, "mine", {
  parameters: { beta: 0.1 },
  // @ts-expect-error no such need
  needs: ["polcy"],
  value: () => new Float64Array(0),
  coefficients: () => ({})
})
objective.custom(import.meta, "mine", {
  parameters: { beta: 0.1 },
  needs: ["policy"],
  // @ts-expect-error misspelt parameter
  value: (inputs, { bata }) => new Float64Array(inputs.rows).fill(bata),
  coefficients: () => ({})
})
// @ts-expect-error coefficients are missing
objective.custom(import.meta, "mine", { parameters: {}, needs: ["policy"], value: () => new Float64Array(0) })
// @ts-expect-error an objective that needs a reference is not one that does not
export const free: Objective<"policy" | Pair> = dpo()

// ---- the shipped ones
// @ts-expect-error misspelt parameter
dpo({ bet: 0.1 })
// @ts-expect-error beta is a number
dpo({ beta: "0.1" })
// @ts-expect-error no such aggregation
dpo({ ratio: "max" })
// @ts-expect-error simpo has no aggregation: it is per token
simpo({ ratio: "mean" })
// @ts-expect-error no such reduction
nll({ reduction: "batch" })
// @ts-expect-error the published beta is unused: the family has none
dil.lsif({ beta: 1 })

// ---- DIL's h
dil("chi2", (r) => times(0.5, square(minus(r, 1))))
dil("alpha", (r, { alpha }) => over(exp(times(alpha, log(r))), alpha), { parameters: { alpha: 2 }, ratio: "sum" })
// @ts-expect-error h is a function of r, not of the data
dil("policy", (r) => times(r, sum(policy("chosen"))))
// @ts-expect-error h returns a formula
dil("number", () => 1)
// @ts-expect-error misspelt parameter of h
dil("alpha", (r, { alhpa }) => times(alhpa, r), { parameters: { alpha: 2 } })
// @ts-expect-error derivative is by r, and this has none
derivative(logSigmoid(logRatio("chosen")))
// @ts-expect-error r is a value per row
substitute(variable, detach(policy("chosen")))
export const scalar: Scalar = derivative(times(variable, parameter("a")))
