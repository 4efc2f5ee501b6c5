// Every loss of the stored references as a formula: what shows that the language is wide enough. Not shipped.
import type { Inputs, SideInputs } from "@penchant/dsl/Evaluate"
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
  log1mexp,
  logSigmoid,
  max,
  min,
  minus,
  type Need,
  negate,
  over,
  plus,
  policy,
  reference,
  relu,
  runningMean,
  type Scalar,
  sigmoid,
  square,
  sum,
  times
} from "@penchant/dsl/Formula"
import { logRatio, meanLogProb, type Objective, objective } from "@penchant/dsl/Objective"
import { dil, dpo, nll, simpo } from "@penchant/objectives"

export interface Case {
  readonly objective: string
  readonly params: Readonly<Record<string, unknown>>
  readonly aggregation?: string
}
type Row = Formula<Need>
type Preferred = "chosen" | "rejected"
const read = (params: Case["params"], name: string, otherwise = 0): number => {
  const value = params[name] ?? otherwise
  if (typeof value !== "number") throw new TypeError(`${name} is no number`)
  return value
}
/** The objective of a formula whose parameters are the reference's, constants inside. */
const of = (name: string, build: (beta: Scalar) => Row, beta: number): Objective =>
  objective(name, { beta }, ({ beta }) => build(beta) as Formula<"policy">)

const smoothed = (z: Row, epsilon: number): Row =>
  minus(times(epsilon - 1, logSigmoid(z)), times(epsilon, logSigmoid(negate(z))))
const logProb = (side: Preferred): Row => sum(policy(side))

/** The f-divergence's score of a log-ratio. */
const scoreOf = ({ params }: Case, side: Preferred): Row => {
  const ratio: Row = logRatio(side)
  const alpha = read(params, "f_alpha_divergence_coef", 1)
  switch (params.f_divergence_type ?? "reverse_kl") {
    case "forward_kl":
      return negate(exp(negate(ratio)))
    case "js_divergence":
      return logSigmoid(ratio)
    case "alpha_divergence":
      return alpha === 1 ? ratio : over(exp(min(times(alpha - 1, ratio), 80)), alpha - 1)
    default:
      return ratio
  }
}
/** The score with the constant that cancels in differences, but not once scores are divided by lengths. */
const fullScoreOf = (at: Case, side: Preferred): Row => {
  const alpha = read(at.params, "f_alpha_divergence_coef", 1)
  const constants: Record<string, number> = {
    forward_kl: 1,
    js_divergence: Math.LN2,
    alpha_divergence: -1 / (alpha - 1)
  }
  const constant = constants[String(at.params.f_divergence_type)] ?? 0
  return Number.isFinite(constant) ? plus(scoreOf(at, side), constant) : scoreOf(at, side)
}
const margin = (at: Case): Row => minus(scoreOf(at, "chosen"), scoreOf(at, "rejected"))
const normalised = (at: Case): Row =>
  minus(over(fullScoreOf(at, "chosen"), length("chosen")), over(fullScoreOf(at, "rejected"), length("rejected")))

const chosen: Row = logRatio("chosen")
const rejected: Row = logRatio("rejected")

const dpoLosses: Readonly<Record<string, (at: Case, beta: Scalar) => Row>> = {
  sigmoid: (at, beta) => negate(logSigmoid(times(beta, margin(at)))),
  hinge: (at, beta) => relu(minus(1, times(beta, margin(at)))),
  ipo: (at, beta) => square(minus(normalised(at), over(0.5, beta))),
  exo_pair: (at, beta) => {
    const z = times(beta, margin(at))
    const epsilon = read(at.params, "label_smoothing")
    return plus(
      times(sigmoid(z), minus(logSigmoid(z), log(constant(1 - epsilon)))),
      times(sigmoid(negate(z)), minus(logSigmoid(negate(z)), log(constant(epsilon))))
    )
  },
  nca_pair: (_, beta) => {
    const [w, l] = [times(beta, chosen), times(beta, rejected)]
    return negate(plus(logSigmoid(w), times(0.5, plus(logSigmoid(negate(w)), logSigmoid(negate(l))))))
  },
  robust: (at, beta) => {
    const z = times(beta, margin(at))
    const epsilon = read(at.params, "label_smoothing")
    const flipped = times(epsilon, logSigmoid(negate(z)))
    return over(plus(times(epsilon - 1, logSigmoid(z)), flipped), 1 - 2 * epsilon)
  },
  bco_pair: (_, beta) => negate(plus(logSigmoid(times(beta, chosen)), logSigmoid(times(negate(beta), rejected)))),
  sppo_hard: (_, beta) => plus(square(minus(chosen, over(0.5, beta))), square(plus(rejected, over(0.5, beta)))),
  apo_zero: (_, beta) => plus(minus(1, sigmoid(times(beta, chosen))), sigmoid(times(beta, rejected))),
  apo_down: (_, beta) => plus(sigmoid(times(beta, chosen)), minus(1, sigmoid(times(beta, minus(chosen, rejected))))),
  discopop: (at, beta) => {
    const z = times(beta, margin(at))
    const m = sigmoid(over(z, read(at.params, "discopop_tau")))
    return plus(times(minus(1, m), negate(logSigmoid(z))), times(m, exp(negate(z))))
  },
  sigmoid_norm: (at, beta) => negate(logSigmoid(times(beta, normalised(at))))
}

const cpoLosses: Readonly<Record<string, (at: Case, beta: Scalar) => Row>> = {
  sigmoid: ({ params }, beta) =>
    smoothed(times(beta, minus(logProb("chosen"), logProb("rejected"))), read(params, "label_smoothing")),
  hinge: (_, beta) => relu(minus(1, times(beta, minus(logProb("chosen"), logProb("rejected"))))),
  ipo: (_, beta) => square(minus(minus(meanLogProb("chosen"), meanLogProb("rejected")), over(0.5, beta))),
  simpo: ({ params }, beta) =>
    smoothed(
      minus(times(beta, minus(meanLogProb("chosen"), meanLogProb("rejected"))), gammaOf(params)),
      read(params, "label_smoothing")
    )
}
const gammaOf = (params: Case["params"]): number =>
  "gamma_beta_ratio" in params
    ? read(params, "gamma_beta_ratio") * read(params, "beta")
    : read(params, "simpo_gamma", 0)

/** (1 - p^-alpha) / alpha, which does not underflow before its result does. */
const alphaReward = (alpha: number, logp: Row): Row => over(minus(1, exp(times(-alpha, logp))), alpha)
const alphapo = ({ aggregation, params }: Case, beta: Scalar): Row => {
  const alpha = read(params, "alpha")
  const side = (name: Preferred): Row => alphaReward(alpha, aggregation === "mean" ? meanLogProb(name) : logProb(name))
  const gamma = aggregation === "mean" ? gammaOf(params) : 0
  return negate(logSigmoid(minus(times(beta, minus(side("chosen"), side("rejected"))), gamma)))
}

const orpo = (beta: Scalar): Row => {
  const [a, b] = [meanLogProb("chosen"), meanLogProb("rejected")]
  return times(negate(beta), logSigmoid(minus(minus(a, b), minus(log1mexp(a), log1mexp(b)))))
}

const betaOf = ({ params }: Case): number => read(params, "beta", 1)
const ratioOf = ({ aggregation }: Case) => (aggregation === "sum" ? "sum" : "mean") as "sum" | "mean"
const plain = ({ params }: Case): boolean => !("f_divergence_type" in params) && read(params, "label_smoothing") === 0
const loss = (at: Case): string => String(at.params.loss_type)

/** By the reference's name. What we ship is built by what we ship. */
export const pairwise: Readonly<Record<string, (at: Case) => Objective>> = {
  "trl.dpo.sigmoid": (
    at
  ) => (plain(at) ? dpo({ beta: betaOf(at) }) : of("f-dpo", (b) => dpoLosses.sigmoid!(at, b), betaOf(at))),
  "trl.dpo.sigmoid_norm": (at) =>
    plain(at)
      ? dpo({ beta: betaOf(at), ratio: "mean" })
      : of("f-norm", (b) => dpoLosses.sigmoid_norm!(at, b), betaOf(at)),
  "dil_repo.DPO": (at) => dpo({ beta: betaOf(at), ratio: "mean" }),
  "dil_repo.LSIF": (at) => dil.lsif({ ratio: ratioOf(at) }),
  "dil_repo.BCE": (at) => dil.bce({ ratio: ratioOf(at) }),
  "dil_repo.UKL": (at) => dil.ukl({ ratio: ratioOf(at) }),
  "paper.LSIF": (at) => dil.lsif({ ratio: ratioOf(at) }),
  "paper.BCE": (at) => dil.bce({ ratio: ratioOf(at) }),
  "paper.UKL": (at) => dil.ukl({ ratio: ratioOf(at) }),
  "trl.cpo.simpo": (at) =>
    plain(at)
      ? simpo({ beta: betaOf(at), gamma: gammaOf(at.params) })
      : of("smooth-simpo", (b) => cpoLosses.simpo!(at, b), betaOf(at)),
  "simpo_repo.sigmoid": (at) =>
    plain(at)
      ? simpo({ beta: betaOf(at), gamma: gammaOf(at.params) })
      : of("smooth-simpo", (b) => cpoLosses.simpo!(at, b), betaOf(at)),
  "simpo_repo.hinge": ({ params }) =>
    of("simpo-hinge", (b) => {
      const z = times(b, minus(meanLogProb("chosen"), meanLogProb("rejected")))
      return relu(minus(1, minus(z, gammaOf(params))))
    }, read(params, "beta")),
  "cdpo.sigmoid": (at) =>
    of("cdpo", (b) => smoothed(times(b, minus(chosen, rejected)), read(at.params, "label_smoothing")), betaOf(at)),
  ipo_sum: (at) => of("ipo-sum", (b) => square(minus(minus(chosen, rejected), over(0.5, b))), betaOf(at)),
  "trl.cpo.alphapo": (at) => of("alphapo", (b) => alphapo(at, b), betaOf(at)),
  "alphapo.stable": (at) => of("alphapo", (b) => alphapo(at, b), betaOf(at)),
  "trl.orpo.odds_ratio_term": (at) => of("odds-ratio", orpo, betaOf(at)),
  "trl.kto.apo_zero_unpaired": (at) =>
    of("apo-zero", (b) =>
      plus(
        times(read(at.params, "desirable_weight"), minus(1, sigmoid(times(b, chosen)))),
        times(read(at.params, "undesirable_weight"), sigmoid(times(b, rejected)))
      ), betaOf(at)),
  ...Object.fromEntries(
    ["hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "apo_zero", "apo_down", "discopop"].map(
      (name) => [`trl.dpo.${name}`, (at: Case) => of(name, (b) => dpoLosses[loss(at)]!(at, b), betaOf(at))]
    )
  ),
  ...Object.fromEntries(
    ["sigmoid", "hinge", "ipo"].map((name) => [
      `trl.cpo.${name}`,
      (at: Case) => of(name, (b) => cpoLosses[loss(at)]!(at, b), betaOf(at))
    ])
  )
}

/** Optimal transport: margins are paired by their order inside the batch. */
export const aot = (beta: number, epsilon: number): Objective =>
  of("aot", (b) => {
    const ours = batchSort(minus(logProb("chosen"), logProb("rejected")))
    const theirs = batchSort(minus(sum(reference("chosen")), sum(reference("rejected"))))
    return smoothed(times(b, minus(ours, theirs)), epsilon)
  }, beta)
export const aotUnpaired = (beta: number, epsilon: number): Objective =>
  of("aot-unpaired", (b) => smoothed(times(b, minus(batchSort(chosen), batchSort(rejected))), epsilon), beta)

/** Unpaired: `label` is 1 for a desirable answer; the log-probabilities of the mismatched answers are columns. */
export const kto = (beta: number, desirable: number, undesirable: number): Objective =>
  of("kto", (b) => {
    const kl = max(batchMean(minus(column("klPolicy"), column("klReference"))), 0)
    const z = times(b, minus(logRatio("answer"), detach(kl)))
    const good = times(desirable, minus(1, sigmoid(z)))
    const bad = times(undesirable, minus(1, sigmoid(negate(z))))
    return plus(times(column("label"), good), times(minus(1, column("label")), bad))
  }, beta)

export const bco = (beta: number): Objective =>
  of("bco", (b) => {
    const reward = times(b, logRatio("answer"))
    const z = minus(reward, runningMean("delta", reward))
    const bad = times(minus(1, column("label")), logSigmoid(negate(z)))
    return negate(plus(times(column("label"), logSigmoid(z)), bad))
  }, beta)

/** WPO: each pair counts as much as the policy finds both answers likely, which the data carries as a column. */
export const weighted = (name: "sigmoid" | "ipo", at: Case): Objective =>
  of("wpo", (b) => times(detach(column("weight")), dpoLosses[name]!(at, b)), betaOf(at))

/** The tokens' mean over the whole batch, so that long answers weigh more: sum of losses / sum of lengths. */
const batchTokenMean: Row = over(negate(logProb("chosen")), batchMean(length("chosen")))
export const cpoWithNll = (name: "sigmoid" | "simpo", at: Case): Objective =>
  of("cpo", (b) => plus(cpoLosses[name]!(at, b), times(read(at.params, "cpo_alpha"), batchTokenMean)), betaOf(at))
export const mpo = (at: Case): Objective =>
  of("mpo", (b) => {
    const preference = plus(times(0.8, dpoLosses.sigmoid!(at, b)), times(0.2, dpoLosses.bco_pair!(at, b)))
    return plus(preference, batchTokenMean)
  }, betaOf(at))

/**
 * LD-DPO discounts the tokens of the longer answer beyond the length of the shorter one, which no formula says: a custom
 * objective. d loss / d(discounted log-ratio of the chosen) is `slope`, of the rejected minus it.
 */
const ldLoss: Readonly<Record<string, (w: number, l: number, beta: number) => readonly [loss: number, slope: number]>> =
  {
    sigmoid: (w, l, beta) => {
      const z = beta * (w - l)
      return [Math.log1p(Math.exp(-z)), -beta / (1 + Math.exp(z))]
    },
    ipo: (w, l, beta) => {
      const off = w - l - 1 / (2 * beta)
      return [off * off, 2 * off]
    }
  }
export const longDiscounted = (at: Case): Objective => {
  const perTokenOf = loss(at) === "ipo"
  const rows = ({ rows, sides }: Inputs, { alpha, beta }: { readonly alpha: number; readonly beta: number }) => {
    const [chosen, rejected] = [sides.chosen!, sides.rejected!]
    const starts = { w: 0, l: 0 }
    return Array.from({ length: rows }, (_, row) => {
      const shorter = Math.min(chosen.lengths[row]!, rejected.lengths[row]!)
      const total = (side: SideInputs, start: number): number => {
        const length = side.lengths[row]!
        let sum = 0
        for (let t = 0; t < length; t++) {
          sum += (t < shorter ? 1 : alpha) * (side.policy[start + t]! - side.reference![start + t]!)
        }
        return perTokenOf ? sum / length : sum
      }
      const found = ldLoss[loss(at)]!(total(chosen, starts.w), total(rejected, starts.l), beta)
      starts.w += chosen.lengths[row]!
      starts.l += rejected.lengths[row]!
      return { loss: found[0], slope: found[1], shorter }
    })
  }
  return objective.custom(import.meta, "longDiscounted", {
    parameters: { beta: betaOf(at), alpha: read(at.params, "ld_alpha") },
    needs: ["policy", "reference", "side:chosen", "side:rejected"],
    value: (inputs, parameters) => Float64Array.from(rows(inputs, parameters), ({ loss }) => loss),
    coefficients: (inputs, parameters) => {
      const found = rows(inputs, parameters)
      const side = (name: Preferred, sign: number): Float64Array => {
        const { lengths } = inputs.sides[name]!
        return Float64Array.from(
          found.flatMap(({ shorter, slope }, row) =>
            Array.from(
              { length: lengths[row]! },
              (_, t) => sign * slope * (t < shorter ? 1 : parameters.alpha) / (perTokenOf ? lengths[row]! : 1)
            )
          )
        )
      }
      return { chosen: side("chosen", 1), rejected: side("rejected", -1) }
    }
  })
}

export const tokenwise: Readonly<Record<string, (at: Case) => Objective | undefined>> = {
  "trl.dpo.sigmoid": (at) =>
    "ld_alpha" in at.params
      ? longDiscounted(at)
      : "use_weighting" in at.params
      ? weighted("sigmoid", at)
      : dpo({ beta: betaOf(at) }),
  "trl.dpo.ipo": (at) =>
    "ld_alpha" in at.params
      ? longDiscounted(at)
      : "use_weighting" in at.params
      ? weighted("ipo", at)
      : of("ipo", (b) => dpoLosses.ipo!(at, b), betaOf(at)),
  "trl.dpo.sigmoid_norm": (at) => dpo({ beta: betaOf(at), ratio: "mean" }),
  "trl.dpo.sppo_hard": (at) => of("sppo", (b) => dpoLosses.sppo_hard!(at, b), betaOf(at)),
  "trl.dpo.sft": () => nll({ reduction: "sequence" }),
  "trl.dpo.mpo": mpo,
  "trl.cpo.sigmoid": (at) => cpoWithNll("sigmoid", at),
  "trl.cpo.simpo": (at) => cpoWithNll("simpo", at),
  // its NLL includes the prompt, which an objective never sees
  "trl.orpo": () => undefined
}
