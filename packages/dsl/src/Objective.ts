// An objective: a name, parameters, and a loss per row that training minimises. What it needs is read off its formula.
// Leaves out the shipped objectives (packages/objectives) and how a loss is evaluated (Evaluate.ts).
import {
  type Formula,
  FormulaError,
  length,
  minus,
  type Need,
  needs,
  over,
  parameter,
  policy,
  type Rank,
  rankOf,
  reference,
  type Scalar,
  type Side,
  sum
} from "./Formula.ts"
import type { Coefficients, Inputs } from "./Inputs.ts"
import { simplify } from "./Simplify.ts"

export type Parameters = Readonly<Record<string, number>>

/** The escape hatch: plain functions over typed arrays, found again by (module url, export name). */
export interface Custom<out N extends Need = Need> {
  readonly _tag: "Custom"
  readonly module: string
  readonly export: string
  readonly needs: ReadonlyArray<N>
  /** Raise it to invalidate results on purpose. */
  readonly epoch: number
  /** [rows] */
  readonly value: (inputs: Inputs, parameters: Parameters) => Float64Array
  /** Per side, d(sum of the batch's values) / d(log-probability) of every token. */
  readonly coefficients: (inputs: Inputs, parameters: Parameters) => Coefficients
}

export interface Objective<out N extends Need = Need> {
  readonly _objective: true
  readonly name: string
  readonly parameters: Parameters
  /** What a label leaves out. */
  readonly defaults: Parameters
  /** Choices that are not numbers and not the default, for labels: `ratio: "sum"`. They act through the formula. */
  readonly choices: Readonly<Record<string, string>>
  /** What the optimiser step divides the summed loss by: its pairs, or its loss tokens. */
  readonly per: "pair" | "token"
  readonly loss: Formula<N> | Custom<N>
  /** More values per row to log beside the loss. */
  readonly metrics: Readonly<Record<string, Formula<N>>>
}

export interface Options<N extends Need> {
  readonly defaults?: Parameters
  readonly choices?: Readonly<Record<string, string>>
  readonly per?: "pair" | "token"
  readonly metrics?: Readonly<Record<string, Formula<N>>>
}

type Leaves<P> = { readonly [K in keyof P]: Scalar }
type ReadsPolicy<N> = "policy" extends N ? unknown : "the loss never mentions the policy"

const checked = (name: string, parameters: Parameters): Parameters => {
  for (const [key, value] of Object.entries(parameters)) {
    if (!Number.isFinite(value)) throw new FormulaError(`objective "${name}": parameter ${key} is ${value}`)
  }
  return parameters
}

const leavesOf = <P extends Parameters>(parameters: P): Leaves<P> =>
  Object.fromEntries(Object.keys(parameters).map((key) => [key, parameter(key)])) as Leaves<P>

const formula = <const P extends Parameters, N extends Need>(
  name: string,
  parameters: P,
  loss: (leaves: Leaves<P>) => Formula<N> & ReadsPolicy<N>,
  options: Options<NoInfer<N>> = {}
): Objective<N> => {
  checked(name, parameters)
  const built: Formula<N> = loss(leavesOf(parameters))
  const read = needs(built.node)
  if (rankOf(built.node) !== "row") {
    throw new FormulaError(`objective "${name}": the loss has a value per token; sum it`)
  }
  if (!read.has("policy")) throw new FormulaError(`objective "${name}": the loss never mentions the policy`)
  for (const [metric, { node }] of Object.entries(options.metrics ?? {})) {
    const extra = [...needs(node)].find((need) => !read.has(need))
    if (extra !== undefined) {
      throw new FormulaError(`objective "${name}": metric ${metric} needs ${extra}, which the loss does not`)
    }
  }
  return {
    _objective: true,
    name,
    parameters,
    defaults: options.defaults ?? {},
    choices: options.choices ?? {},
    per: options.per ?? "pair",
    loss: built,
    metrics: options.metrics ?? {}
  }
}

const custom = <const P extends Parameters, const N extends Need>(
  module: { readonly url: string },
  name: string,
  definition: {
    readonly parameters: P
    readonly needs: ReadonlyArray<N>
    readonly value: (inputs: Inputs, parameters: P) => Float64Array
    readonly coefficients: (inputs: Inputs, parameters: P) => Coefficients
    readonly epoch?: number
    readonly per?: "pair" | "token"
  }
): Objective<N> => ({
  _objective: true,
  name,
  parameters: checked(name, definition.parameters),
  defaults: {},
  choices: {},
  per: definition.per ?? "pair",
  loss: {
    _tag: "Custom",
    module: module.url,
    export: name,
    needs: definition.needs,
    epoch: definition.epoch ?? 0,
    value: definition.value as Custom["value"],
    coefficients: definition.coefficients as Custom["coefficients"]
  },
  metrics: {}
})

/**
 * `objective("ipo", { beta: 0.1 }, ({ beta }) => square(minus(..., over(0.5, beta))))`. The loss is one value per row;
 * one that never mentions the policy does not compile. `objective.custom` is for what no formula says.
 */
export const objective = Object.assign(formula, { custom })

export const isObjective = (x: unknown): x is Objective =>
  typeof x === "object" && x !== null && "_objective" in x && "loss" in x

export const isCustom = <N extends Need>(loss: Formula<N, Rank> | Custom<N>): loss is Custom<N> => "_tag" in loss

/** What training must provide: models, sides, columns, and whether the rows of a batch depend on each other. */
export const needsOf = (objective: Objective): ReadonlySet<Need> =>
  isCustom(objective.loss) ? new Set(objective.loss.needs) : needs(objective.loss.node)

/** `dpo(beta=0.5)`: what differs from the defaults, in the order of names. */
export const labelOf = (objective: Objective): string => {
  const numbers = Object.entries(objective.parameters).filter(([key, value]) => objective.defaults[key] !== value)
  const shown = [...numbers, ...Object.entries(objective.choices)]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
  return shown.length === 0 ? objective.name : `${objective.name}(${shown.join(",")})`
}

/**
 * Plain JSON that says what is computed: the simplified formulas and the parameters' values. The name is not part of it.
 * A custom objective is its export's name and the text of its functions; what these call is the code part of a key.
 */
export const identityOf = ({ loss, metrics, parameters, per }: Objective): unknown => ({
  per,
  parameters,
  ...(isCustom(loss)
    ? {
      custom: loss.export,
      epoch: loss.epoch,
      needs: loss.needs.toSorted(),
      source: [loss.value.toString(), loss.coefficients.toString()]
    }
    : { loss: simplify(loss.node) }),
  metrics: Object.fromEntries(Object.entries(metrics).map(([name, { node }]) => [name, simplify(node)]))
})

/** log(policy / reference) of the whole answer, in nats. */
export const logRatio = <S extends Side>(side: S) => minus(sum(policy(side)), sum(reference(side)))
/** The same per token: its exponential is a geometric mean over tokens, not the ratio of the two models. */
export const meanLogRatio = <S extends Side>(side: S) => over(logRatio(side), length(side))
/** Log-probability per token under the policy. */
export const meanLogProb = <S extends Side>(side: S) => over(sum(policy(side)), length(side))
/** How token log-ratios become one number per answer. */
export type Aggregation = "sum" | "mean"
export const ratioOf = <S extends Side>(side: S, ratio: Aggregation) =>
  ratio === "sum" ? logRatio(side) : meanLogRatio(side)
