// Values and gradients of the shipped objectives against what the peers' own code computed, pair by pair in float64.
import type { Inputs, SideInputs } from "@penchant/dsl/Evaluate"
import { program } from "@penchant/dsl/Loss"
import type { Objective } from "@penchant/dsl/Objective"
import { dil, dpo, simpo } from "@penchant/objectives"
import {
  type Check,
  check,
  type Conformance,
  type ObjectiveCase,
  type ObjectiveValues,
  type PairRow,
  type Peer
} from "./references.ts"

const tolerance = 1e-9

/** One side whose row sums are exactly the given numbers: the whole on the first token. */
const side = (
  rows: ReadonlyArray<PairRow>,
  policy: "L_w" | "L_l",
  reference: "R_w" | "R_l",
  length: "len_w" | "len_l"
): SideInputs => {
  const spread = (of: "L_w" | "L_l" | "R_w" | "R_l") =>
    Float64Array.from(rows.flatMap((row) => Array.from({ length: row[length] }, (_, t) => (t === 0 ? row[of] : 0))))
  return { lengths: Int32Array.from(rows, (row) => row[length]), policy: spread(policy), reference: spread(reference) }
}

const number = ({ params }: ObjectiveCase, name: string, otherwise: number): number => {
  const value = params[name]
  return typeof value === "number" ? value : otherwise
}
/** Settings that change the loss to one that is not shipped, unless they are 0 or the default. */
const plain = ({ params }: ObjectiveCase): boolean =>
  ["label_smoothing", "sft_weight", "cpo_alpha"].every((name) => (params[name] ?? 0) === 0)
  && (params["f_divergence_type"] ?? "reverse_kl") === "reverse_kl"
const ratio = ({ aggregation }: ObjectiveCase): "sum" | "mean" => (aggregation === "sum" ? "sum" : "mean")

/** By the peers' names; undefined for what is not shipped. */
const known: Readonly<Record<string, (at: ObjectiveCase) => Objective | undefined>> = {
  "trl.dpo.sigmoid": (at) => (plain(at) ? dpo({ beta: number(at, "beta", 0.1) }) : undefined),
  "trl.dpo.sigmoid_norm": (at) => (plain(at) ? dpo({ beta: number(at, "beta", 0.1), ratio: "mean" }) : undefined),
  "dil_repo.DPO": (at) => dpo({ beta: number(at, "beta", 0.1), ratio: "mean" }),
  "dil_repo.LSIF": (at) => dil.lsif({ ratio: ratio(at) }),
  "dil_repo.BCE": (at) => dil.bce({ ratio: ratio(at) }),
  "dil_repo.UKL": (at) => dil.ukl({ ratio: ratio(at) }),
  "paper.LSIF": (at) => dil.lsif({ ratio: ratio(at) }),
  "paper.BCE": (at) => dil.bce({ ratio: ratio(at) }),
  "paper.UKL": (at) => dil.ukl({ ratio: ratio(at) }),
  "trl.cpo.simpo": (at) =>
    plain(at) ? simpo({ beta: number(at, "beta", 2), gamma: number(at, "simpo_gamma", 0) }) : undefined,
  "simpo_repo.sigmoid": (at) => {
    const beta = number(at, "beta", 2)
    return plain(at) ? simpo({ beta, gamma: beta * number(at, "gamma_beta_ratio", 0) }) : undefined
  }
}

/** The repository's UKL leaves out the chosen reference, a constant: only its gradient is compared. */
const valueDiffers = new Set(["dil_repo.UKL"])

/** Largest relative difference where the peer's number is finite; where it is not, ours may be. */
const compared = (ours: ArrayLike<number>, theirs: ReadonlyArray<Peer>): number =>
  theirs.reduce<number>((most, peer, row) => {
    if (typeof peer !== "number" || ours[row] === peer) return most
    return Math.max(most, Math.abs(ours[row]! - peer) / Math.max(Math.abs(peer), Number.MIN_VALUE))
  }, 0)

/** The coefficient of each row's first token, which for these losses is that of every token of the row. */
const perRow = (coefficients: Float64Array | undefined, lengths: Int32Array): ReadonlyArray<number> => {
  let at = 0
  return Array.from(lengths, (length) => coefficients?.[(at += length) - length] ?? 0)
}

/** objectives.json: one check per objective over all its cases. */
export const objectiveChecks = ({ batch_cases = [], cases, rows, token_cases = [] }: ObjectiveValues): Conformance => {
  const chosen = side(rows, "L_w", "R_w", "len_w")
  const rejected = side(rows, "L_l", "R_l", "len_l")
  const inputs: Inputs = { rows: rows.length, sides: { chosen, rejected } }
  const errors = new Map<string, { cases: number; error: number }>()
  const left = new Map<string, number>()
  const skip = (name: string) => left.set(name, (left.get(name) ?? 0) + 1)
  for (const at of cases) {
    const objective = at.dtype === undefined ? known[at.objective]?.(at) : undefined
    if (objective === undefined) {
      skip(at.objective)
      continue
    }
    const { coefficients, value } = program(objective).run(inputs)
    const found = errors.get(at.objective) ?? { cases: 0, error: 0 }
    const parts = [
      valueDiffers.has(at.objective) ? 0 : compared(value, at.loss),
      compared(perRow(coefficients.chosen, chosen.lengths), at.dL_w),
      compared(perRow(coefficients.rejected, rejected.lengths), at.dL_l)
    ]
    errors.set(at.objective, { cases: found.cases + 1, error: Math.max(found.error, ...parts) })
  }
  for (const { objective } of [...batch_cases, ...token_cases]) skip(`${objective} on batches or tokens`)
  const checks: ReadonlyArray<Check> = Array.from(
    errors,
    ([name, { cases, error }]) =>
      check(`objective ${name}, ${cases} case${cases === 1 ? "" : "s"}, relative`, error, tolerance)
  )
  return {
    checks,
    skipped: Array.from(left, ([name, count]) => ({
      name: `objective ${name}`,
      why: `${count} case${count === 1 ? "" : "s"} of a loss that is not shipped`
    }))
  }
}
