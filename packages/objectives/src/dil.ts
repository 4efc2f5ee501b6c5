// Direct imitation learning, https://arxiv.org/abs/2503.05079: alignment as imitation of the chosen answers by matching the
// density ratio r = policy / reference. Every convex h gives E_rejected[h'(r) r - h(r)] - E_chosen[h'(r)].
import { derivative, substitute } from "@penchant/dsl/Differentiate"
import { exp, log, minus, plus, type Scalar, square, times, variable } from "@penchant/dsl/Formula"
import { type Aggregation, objective, type Parameters, ratioOf } from "@penchant/dsl/Objective"

/**
 * `ratio: "mean"` (default) takes r as exp of the per-token mean log-ratio, as the published code and numbers do: sums of
 * hundreds of tokens overflow exp. It is a geometric mean over tokens, so the density-ratio optimum is not claimed for it.
 * `"sum"` is the paper's r.
 */
export interface DilOptions {
  readonly ratio?: Aggregation
}

/** A member of the family: `dil("chi2", (r) => times(0.5, square(minus(r, 1))))`. h' is taken symbolically. */
const member = <const P extends Parameters = {}>(
  name: string,
  h: (r: Scalar, parameters: { readonly [K in keyof P]: Scalar }) => Scalar,
  { parameters = {} as P, ratio = "mean" }: DilOptions & { readonly parameters?: P } = {}
) =>
  objective(name, parameters, (leaves) => {
    const convex = h(variable, leaves)
    const slope = derivative(convex)
    const rejected = substitute(minus(times(slope, variable), convex), exp(ratioOf("rejected", ratio)))
    const chosen = substitute(slope, exp(ratioOf("chosen", ratio)))
    return minus(rejected, chosen)
  }, { choices: ratio === "mean" ? {} : { ratio } })

export const dil = Object.assign(member, {
  /** Least squares, h = r^2 / 2 (the paper's (r - 1)^2 / 2 less its affine part): r_l^2 / 2 - r_w. */
  lsif: (options: DilOptions = {}) => member("dil-lsif", (r) => times(0.5, square(r)), options),
  /** Binary cross-entropy, h = r log r - (r + 1) log(r + 1): -log sigmoid(log r_w) - log sigmoid(-log r_l). */
  bce: (options: DilOptions = {}) =>
    member("dil-bce", (r) => minus(times(r, log(r)), times(plus(r, 1), log(plus(r, 1)))), options),
  /** Unnormalised Kullback-Leibler, h = r log r - r: r_l - log r_w. */
  ukl: (options: DilOptions = {}) => member("dil-ukl", (r) => minus(times(r, log(r)), r), options)
})
