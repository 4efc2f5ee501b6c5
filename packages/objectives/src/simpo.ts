// SimPO, https://arxiv.org/abs/2405.14734, eq. 6: no reference model, log-probabilities per token, a target margin.
// Leaves out the published code's optional label smoothing and SFT term, both 0 in its recipes.
import { logSigmoid, minus, negate, times } from "@penchant/dsl/Formula"
import { meanLogProb, objective } from "@penchant/dsl/Objective"

/** -log sigmoid(beta (mean log-prob of chosen - mean log-prob of rejected) - gamma). The published code takes gamma / beta. */
export const simpo = ({ beta = 2, gamma = 0.5 }: { readonly beta?: number; readonly gamma?: number } = {}) =>
  objective(
    "simpo",
    { beta, gamma },
    ({ beta, gamma }) =>
      negate(logSigmoid(minus(times(beta, minus(meanLogProb("chosen"), meanLogProb("rejected"))), gamma))),
    { defaults: { beta: 2, gamma: 0.5 } }
  )
