// What the forward graphs of families are written with: a model's tensors by name, linear layers, the head.
import { builder, type Value } from "../compute/Graph.ts"
import type { Forward, TensorSpec } from "./Family.ts"

/** Names and shapes, as most families list them. */
export const specs = (tensors: Iterable<readonly [string, ReadonlyArray<number>]>): ReadonlyArray<TensorSpec> =>
  Array.from(tensors, ([name, shape]) => ({ name, shape }))

export const network = (tensors: ReadonlyArray<TensorSpec>) => {
  const g = builder()
  const weights = tensors.map(({ name, shape }) => g.weight(name, shape))
  const byName = new Map(weights.map((weight) => [weight.name, weight]))
  const w = (name: string): Value => {
    const found = byName.get(name)
    if (found === undefined) throw new Error(`the family lists no tensor "${name}"`)
    return found
  }
  return {
    g,
    w,
    embedding: (table: string, ids: Value): Value => g.emit("embedding", { table: w(`${table}.weight`), ids }, {}).y,
    layerNorm: (x: Value, name: string, epsilon: number): Value =>
      g.emit("layerNorm", { x, weight: w(`${name}.weight`), bias: w(`${name}.bias`) }, { epsilon }).y,
    /** With the bias if there is one; `stored` is how the weight lies in the file. */
    linear: (x: Value, name: string, accumulator?: Value, stored: "[out, in]" | "[in, out]" = "[out, in]"): Value => {
      const bias = byName.get(`${name}.bias`)
      const { y } = g.emit("mm", { a: x, b: w(`${name}.weight`), accumulator: accumulator ?? bias }, {
        transA: false,
        transB: stored === "[out, in]"
      })
      return accumulator === undefined || bias === undefined ? y : g.emit("add", { a: y, b: bias }, {}).y
    },
    /** The rows that predict completion tokens. */
    predicting: (x: Value): Value => g.emit("gatherRows", { x, rows: g.batch("rows") }, {}).y,
    head: (hidden: Value, table: string, softCap?: number): Forward => {
      const { logProb } = g.emit("tokenLogProb", {
        hidden,
        head: w(`${table}.weight`),
        predictor: g.batch("predictor"),
        targets: g.batch("targets")
      }, { softCap })
      return { graph: g.finish([logProb]), logProb, weights }
    }
  }
}
