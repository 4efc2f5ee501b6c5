// A loss formula inside the ONNX model: token log-probabilities in, one coefficient per token out, float64 throughout.
// The value of the loss is not computed: the host does that anyway, with the metrics. A test holds both to each other.
// Leaves out what couples the rows of a batch, since a run sees only its micro-batch.
import { gradients } from "@penchant/dsl/Differentiate"
import { children, match, type Node, type NodeOf, type Side } from "@penchant/dsl/Node"
import type { FusedLoss } from "../Engine.ts"
import type { Program } from "./Program.ts"

/** Names of the model's inputs that a fused loss adds: float64, or int64 for indices. */
export const objectiveInput = {
  /** [N] log-probabilities under the reference, in batch order. */
  reference: "reference",
  /** What all coefficients are multiplied by. */
  scale: "scale",
  /** [N] where each token of the batch lies in the sides end to end. */
  order: "order",
  parameter: (name: string) => `parameter ${name}`,
  /** [G] */
  column: (name: string) => `column ${name}`,
  /** [G] tokens of each row. */
  lengths: (side: string) => `lengths ${side}`,
  /** [tokens of the side] their places in the batch. */
  places: (side: string) => `places ${side}`,
  /** [tokens of the side] the row that each belongs to. */
  rows: (side: string) => `rows ${side}`,
  /** [G, tokens of the side] 1 where the token is the row's. */
  members: (side: string) => `members ${side}`
}

/** A value and what it has one of: the batch, each row [G], or each token of a side. */
interface Ranked {
  readonly name: string
  readonly rank: "scalar" | "row" | `token:${Side}`
}

const unfit: ReadonlySet<Node["_tag"]> = new Set(["Variable", "BatchMean", "BatchSort", "BatchUnsort", "State"])
const fits = (node: Node): boolean => !unfit.has(node._tag) && children(node).every(fits)

/** Whether the formula can run inside: nothing in it or its gradient looks beyond its own row. */
export const canFuse = ({ formula, sides }: FusedLoss): boolean => {
  if (!fits(formula)) return false
  const slopes = Object.entries(gradients(formula)) as ReadonlyArray<[Side, Node]>
  return slopes.every(([side, node]) => sides.includes(side) && fits(node))
}

const toFloat64 = 11
const toFloat32 = 1

/** [N] float32: the gradient of scale * sum of the loss over rows, by every token's log-probability. */
export const lowerObjective = (program: Program, logProb: string, { formula, sides }: FusedLoss): string => {
  const { constant, input, node, once } = program
  const number = (value: number): string => constant("float64", [value], [])
  const sideOf = (rank: `token:${Side}`): Side => rank.slice("token:".length) as Side

  /** Row values repeated for each token. */
  const spread = ({ name, rank }: Ranked, to: Ranked["rank"]): string =>
    rank === "row" && to !== "row" && to !== "scalar"
      ? once(`spread ${name} ${to}`, () => node("Gather", [name, input(objectiveInput.rows(sideOf(to)), "int64")]))
      : name
  const wider = (a: Ranked["rank"], b: Ranked["rank"]): Ranked["rank"] =>
    a === "scalar" || (a === "row" && b !== "scalar") ? b : a
  const unary = (operator: string) => ({ of }: { readonly of: Node }): Ranked => {
    const x = lower(of)
    return { ...x, name: node(operator, [x.name]) }
  }
  const binary = (operator: string) => ({ left, right }: { readonly left: Node; readonly right: Node }): Ranked => {
    const [a, b] = [lower(left), lower(right)]
    const rank = wider(a.rank, b.rank)
    return { rank, name: node(operator, [spread(a, rank), spread(b, rank)]) }
  }
  /** log(1 + exp x) without overflow. */
  const softplus = (x: string): string => {
    const tail = node("Exp", [node("Neg", [node("Abs", [x])])])
    return node("Add", [node("Relu", [x]), node("Log", [node("Add", [tail, number(1)])])])
  }
  const pointwise = (make: (x: string) => string) => ({ of }: { readonly of: Node }): Ranked => {
    const x = lower(of)
    return { ...x, name: make(x.name) }
  }
  const coupled = ({ _tag }: Node): Ranked => {
    throw new Error(`${_tag} cannot run inside the engine`)
  }
  const logProbs = (name: string, { side }: NodeOf<"LogProb">): Ranked => ({
    rank: `token:${side}`,
    name: node("Gather", [name, input(objectiveInput.places(side), "int64")])
  })
  const rule = match<Ranked>({
    Constant: ({ value }) => ({ rank: "scalar", name: number(value) }),
    Parameter: ({ name }) => ({ rank: "scalar", name: input(objectiveInput.parameter(name), "float64") }),
    Column: ({ name }) => ({ rank: "row", name: input(objectiveInput.column(name), "float64") }),
    Length: ({ side }) => ({ rank: "row", name: input(objectiveInput.lengths(side), "float64") }),
    LogProb: (leaf) =>
      leaf.model === "reference"
        ? logProbs(input(objectiveInput.reference, "float64"), leaf)
        : logProbs(once("logProb float64", () => node("Cast", [logProb], { to: toFloat64 })), leaf),
    Sum: ({ of }) => {
      const { name, rank } = lower(of)
      if (rank === "scalar" || rank === "row") throw new Error("a sum over tokens of what has none")
      return { rank: "row", name: node("MatMul", [input(objectiveInput.members(sideOf(rank)), "float64"), name]) }
    },
    Negate: unary("Neg"),
    Exp: unary("Exp"),
    Log: unary("Log"),
    Sigmoid: unary("Sigmoid"),
    Relu: unary("Relu"),
    Softplus: pointwise(softplus),
    LogSigmoid: pointwise((x) => node("Neg", [softplus(node("Neg", [x]))])),
    // 1 - exp x = -2 t / (1 - t) with t = tanh(x / 2) < 0, which keeps its digits near 0
    Log1mExp: pointwise((x) => {
      const t = node("Tanh", [node("Mul", [x, number(0.5)])])
      return node("Log", [node("Div", [node("Mul", [t, number(-2)]), node("Sub", [number(1), t])])])
    }),
    Step: pointwise((x) => node("Cast", [node("Greater", [x, number(0)])], { to: toFloat64 })),
    Detach: ({ of }) => lower(of),
    Plus: binary("Add"),
    Times: binary("Mul"),
    Divide: binary("Div"),
    Min: binary("Min"),
    Max: binary("Max"),
    Variable: coupled,
    BatchMean: coupled,
    BatchSort: coupled,
    BatchUnsort: coupled,
    State: coupled
  })
  const lower = (formulaNode: Node): Ranked => once(JSON.stringify(formulaNode), () => rule(formulaNode))

  const slopes = gradients(formula)
  const scale = input(objectiveInput.scale, "float64")
  const perSide = sides.map((side) => {
    const zeros = (): string => {
      const places = input(objectiveInput.places(side), "int64")
      return node("Mul", [node("Cast", [places], { to: toFloat64 }), number(0)])
    }
    const slope = slopes[side as Side]
    if (slope === undefined) return zeros()
    const { name, rank } = lower(slope)
    const scaled = { rank, name: node("Mul", [name, scale]) }
    return rank === "scalar" ? node("Add", [zeros(), scaled.name]) : spread(scaled, `token:${side as Side}`)
  })
  const all = perSide.length === 1 ? perSide[0]! : node("Concat", perSide, { axis: 0 })
  return node("Cast", [node("Gather", [all, input(objectiveInput.order, "int64")])], { to: toFloat32 })
}
