// The stored reference values, and the batches that they belong to.
import type { Inputs, SideInputs } from "@penchant/dsl/Evaluate"
import { readFileSync } from "node:fs"
import type { Case } from "./peers.ts"

type Peer = number | "inf" | "-inf" | "nan"
export interface PairRow {
  readonly id: number
  readonly kind: string
  readonly L_w: number
  readonly L_l: number
  readonly R_w: number
  readonly R_l: number
  readonly len_w: number
  readonly len_l: number
}
export interface PairCase extends Case {
  readonly dtype?: string
  readonly loss: ReadonlyArray<Peer>
  readonly dL_w: ReadonlyArray<Peer>
  readonly dL_l: ReadonlyArray<Peer>
}
export interface BatchCase extends Case {
  readonly rows: ReadonlyArray<number>
  readonly batch_loss: number
  readonly sorted_losses?: ReadonlyArray<number>
  readonly example_losses?: ReadonlyArray<number>
  readonly KL_policy_logps?: ReadonlyArray<number>
  readonly KL_reference_logps?: ReadonlyArray<number>
  readonly batch_index_in_sequence?: number
  readonly delta?: number
  readonly dL_w: ReadonlyArray<number>
  readonly dL_l: ReadonlyArray<number>
}
export interface TokenRow {
  readonly policy_chosen_logps: ReadonlyArray<number>
  readonly policy_rejected_logps: ReadonlyArray<number>
  readonly reference_chosen_logps: ReadonlyArray<number>
  readonly reference_rejected_logps: ReadonlyArray<number>
  readonly policy_chosen_log_sum_p2: ReadonlyArray<number>
  readonly policy_rejected_log_sum_p2: ReadonlyArray<number>
}
export interface TokenCase extends Case {
  readonly row_loss: ReadonlyArray<number>
  readonly row_grad_chosen_logps: ReadonlyArray<ReadonlyArray<number> | null>
  readonly row_grad_rejected_logps: ReadonlyArray<ReadonlyArray<number> | null>
  readonly batch_loss: number
}
interface References {
  readonly rows: ReadonlyArray<PairRow>
  readonly cases: ReadonlyArray<PairCase>
  readonly batch_cases: ReadonlyArray<BatchCase>
  readonly token_rows: ReadonlyArray<TokenRow>
  readonly token_cases: ReadonlyArray<TokenCase>
}
export const references = JSON.parse(
  readFileSync(new URL("references/objectives.json", import.meta.url), "utf8")
) as References

export const peerValue = (value: Peer): number =>
  value === "inf" ? Infinity : value === "-inf" ? -Infinity : value === "nan" ? Number.NaN : value

/**
 * |a - b| relative to b; absolute below `floor`. Losses that peers write as 1 - sigmoid(x) lose digits there that ours
 * keep; what we ship is compared without a floor.
 */
export const difference = (a: number, b: number, floor = 1e-4): number =>
  a === b ? 0 : Math.abs(a - b) / Math.max(Math.abs(b), floor)

/** One side whose row sums are exactly the given numbers: the whole on the first token. */
const side = (
  policy: ReadonlyArray<number>,
  reference: ReadonlyArray<number>,
  lengths: ReadonlyArray<number>
): SideInputs => {
  const spread = (sums: ReadonlyArray<number>): Float64Array =>
    Float64Array.from(sums.flatMap((sum, i) => Array.from({ length: lengths[i]! }, (_, t) => (t === 0 ? sum : 0))))
  return { lengths: Int32Array.from(lengths), policy: spread(policy), reference: spread(reference) }
}

export const pairs = (rows: ReadonlyArray<PairRow> = references.rows): Inputs => ({
  rows: rows.length,
  sides: {
    chosen: side(rows.map((r) => r.L_w), rows.map((r) => r.R_w), rows.map((r) => r.len_w)),
    rejected: side(rows.map((r) => r.L_l), rows.map((r) => r.R_l), rows.map((r) => r.len_l))
  }
})

/** All chosen answers, then all rejected ones, as rows of one answer each. */
export const unpaired = (
  rows: ReadonlyArray<PairRow>,
  columns: Readonly<Record<string, ReadonlyArray<number>>>
): Inputs => ({
  rows: 2 * rows.length,
  sides: {
    answer: side(
      [...rows.map((r) => r.L_w), ...rows.map((r) => r.L_l)],
      [...rows.map((r) => r.R_w), ...rows.map((r) => r.R_l)],
      [...rows.map((r) => r.len_w), ...rows.map((r) => r.len_l)]
    )
  },
  columns: Object.fromEntries(
    Object.entries({ label: [...rows.map(() => 1), ...rows.map(() => 0)], ...columns })
      .map(([name, values]) => [name, Float64Array.from(values)])
  )
})

const mean = (values: ReadonlyArray<number>): number => values.reduce((sum, x) => sum + x, 0) / values.length
const confidence = (logps: ReadonlyArray<number>, logSquares: ReadonlyArray<number>): number =>
  Math.exp(mean(logps.map((logp, t) => logp - logSquares[t]!)))

/** Real token log-probabilities; column `weight` is WPO's. */
export const tokenPairs = (rows: ReadonlyArray<TokenRow> = references.token_rows): Inputs => {
  const flat = (of: (row: TokenRow) => ReadonlyArray<number>): Float64Array => Float64Array.from(rows.flatMap(of))
  const lengths = (of: (row: TokenRow) => ReadonlyArray<number>): Int32Array =>
    Int32Array.from(rows.map((row) => of(row).length))
  return {
    rows: rows.length,
    sides: {
      chosen: {
        lengths: lengths((row) => row.policy_chosen_logps),
        policy: flat((row) => row.policy_chosen_logps),
        reference: flat((row) => row.reference_chosen_logps)
      },
      rejected: {
        lengths: lengths((row) => row.policy_rejected_logps),
        policy: flat((row) => row.policy_rejected_logps),
        reference: flat((row) => row.reference_rejected_logps)
      }
    },
    columns: {
      weight: Float64Array.from(rows.map((row) =>
        confidence(row.policy_chosen_logps, row.policy_chosen_log_sum_p2) *
        confidence(row.policy_rejected_logps, row.policy_rejected_log_sum_p2)
      ))
    }
  }
}

/** The coefficient of each row's first token, which for these losses is that of every token of the row. */
export const perRow = (coefficients: Float64Array | undefined, lengths: Int32Array): ReadonlyArray<number> => {
  let t = 0
  return [...lengths].map((length) => {
    const first = coefficients?.[t] ?? 0
    t += length
    return first
  })
}
