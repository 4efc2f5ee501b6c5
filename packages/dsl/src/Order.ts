// Equality, order and size of expression trees.
import { children, type Node, type Tag } from "./Node.ts"

/** The order in which terms and factors are written: parameters first, the policy before the reference, constants last. */
const places: { readonly [T in Tag]: string } = {
  Parameter: "a",
  Column: "b",
  Variable: "c",
  LogProb: "d",
  Sum: "e",
  State: "f",
  BatchMean: "g",
  BatchSort: "h",
  BatchUnsort: "i",
  Detach: "j",
  Plus: "k",
  Negate: "l",
  Times: "m",
  Divide: "n",
  Min: "o",
  Max: "p",
  Relu: "q",
  Step: "r",
  Exp: "s",
  Log: "t",
  Log1mExp: "u",
  Sigmoid: "v",
  LogSigmoid: "w",
  Softplus: "x",
  Length: "y",
  Constant: "z"
}

const keys = new WeakMap<Node, string>()
/** Equal for equal trees, and sorts them. */
export const keyOf = (node: Node): string => {
  const known = keys.get(node)
  if (known !== undefined) return known
  const own = node._tag === "Constant"
    ? `${node.value}`
    : node._tag === "LogProb"
    ? `${node.side} ${node.model}`
    : node._tag === "Length"
    ? node.side
    : "name" in node
    ? JSON.stringify(node.name)
    : ""
  const key = `${places[node._tag]}${own}(${children(node).map(keyOf).join(",")})`
  keys.set(node, key)
  return key
}

export const same = (a: Node, b: Node): boolean => keyOf(a) === keyOf(b)
/** Nodes in the tree: what "simpler" means. */
export const size = (node: Node): number => children(node).reduce((total, child) => total + size(child), 1)
