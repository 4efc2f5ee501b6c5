// Direct preference optimisation, https://arxiv.org/abs/2305.18290, eq. 7. Leaves out label smoothing and f-divergences.
import { logSigmoid, minus, negate, times } from "@penchant/dsl/Formula"
import { type Aggregation, objective, ratioOf } from "@penchant/dsl/Objective"

/**
 * -log sigmoid(beta (log-ratio of chosen - log-ratio of rejected)). `beta` weighs closeness to the reference.
 * `ratio: "mean"` divides each log-ratio by its answer's length (TRL `sigmoid_norm`, Tulu `dpo_norm`): the gradient is
 * then about a length smaller at the same beta.
 */
export const dpo = ({ beta = 0.1, ratio = "sum" }: { readonly beta?: number; readonly ratio?: Aggregation } = {}) =>
  objective(
    "dpo",
    { beta },
    ({ beta }) => negate(logSigmoid(times(beta, minus(ratioOf("chosen", ratio), ratioOf("rejected", ratio))))),
    { defaults: { beta: 0.1 }, choices: ratio === "sum" ? {} : { ratio } }
  )
