// Two operations in a row that are one kernel: a residual and the norm of it, the gradient of a norm and the sum that it goes
// into. Either saves a trip of every activation through memory.
import type { Node, Value } from "../../Graph.ts"
import { type Context, floats, type Tensor } from "../Lowering.ts"
import { launchRmsNorm } from "./rmsNorm.ts"
import { launchRmsNormBackward } from "./rmsNormBackward.ts"

export interface PairContext {
  readonly get: (value: Value) => Tensor
  /** Nobody reads this value but the second operation. */
  readonly alone: (value: Value) => boolean
  readonly context: Context
}

type Made = ReadonlyArray<readonly [Value, Tensor]>

const residualNorm = (first: Node, second: Node, { context, get }: PairContext): Made | undefined => {
  if (first.operation !== "add" || second.operation !== "rmsNorm" || second.inputs.x !== first.outputs.y) {
    return undefined
  }
  const [x, addend] = [get(first.inputs.a), get(first.inputs.b)]
  // a bias is added to every row
  if (addend.shape.length !== x.shape.length) return undefined
  const done = launchRmsNorm({ x, addend, weight: get(second.inputs.weight) }, second.attributes, context)
  return done === undefined ? undefined : [
    [first.outputs.y, floats(done.sum!, x.shape)],
    [second.outputs.y, done.y],
    [second.outputs.inverse, done.inverse]
  ]
}

const residualNormBackward = (first: Node, second: Node, { alone, context, get }: PairContext): Made | undefined => {
  if (first.operation !== "rmsNormBackward" || second.operation !== "add") return undefined
  const { inputs: { a, b }, outputs: { y } } = second
  const { inputs: { cotangent, inverse, weight, x }, outputs } = first
  const residual = b === outputs.x ? a : a === outputs.x ? b : outputs.x
  if (residual === outputs.x || !alone(outputs.x)) return undefined
  const inputs = {
    cotangent: get(cotangent),
    x: get(x),
    weight: get(weight),
    inverse: get(inverse),
    residual: get(residual)
  }
  if (inputs.residual.shape.length !== inputs.x.shape.length) return undefined
  const done = launchRmsNormBackward(inputs, first.attributes, context)
  return done === undefined ? undefined : [[y, done.x], [outputs.weight, done.weight]]
}

/** What both operations make, by value; undefined where they are no such pair or no kernel fits. */
export const lowerPair = (first: Node, second: Node, context: PairContext): Made | undefined =>
  residualNorm(first, second, context) ?? residualNormBackward(first, second, context)
