// Negative log-likelihood of the chosen answers: supervised fine-tuning as one more objective. Completion tokens only.
import { negate, policy, sum } from "@penchant/dsl/Formula"
import { meanLogProb, objective } from "@penchant/dsl/Objective"

/**
 * `"token"` (default): the summed loss of an optimiser step is divided by its loss tokens, so every token weighs the same.
 * `"sequence"`: each answer's mean over its tokens, divided by the answers, so every answer weighs the same.
 */
export const nll = ({ reduction = "token" }: { readonly reduction?: "token" | "sequence" } = {}) =>
  reduction === "token"
    ? objective("nll", {}, () => negate(sum(policy("chosen"))), { per: "token" })
    : objective("nll", {}, () => negate(meanLogProb("chosen")), { choices: { reduction } })
