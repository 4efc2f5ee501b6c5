// Norms of rows, and of each head of a row, as ONNX nodes.
import type { Value } from "../Graph.ts"
import { vectorsOf } from "../operations/rmsNorm.ts"
import type { Context, Lowering } from "./Lowering.ts"

/** One vector per row, and back. Where a row is one vector, nothing happens. */
const vectors = ({ program: { reshape } }: Context, x: Value, weight: Value) => {
  const several = vectorsOf(x, weight) > 1
  return {
    apart: (name: string): string => several ? reshape(name, -1, weight.shape[0] as number) : name,
    together: (name: string): string => several ? reshape(name, -1, x.shape[1] as number) : name
  }
}

const shifted = ({ of, program: { constant, node, once } }: Context, weight: Value, offset = 0): string =>
  offset === 0
    ? of(weight)
    : once(`${offset} + ${of(weight)}`, () => node("Add", [of(weight), constant("float32", [offset], [])]))

export const rmsNorm: Lowering<"rmsNorm"> = ({ attributes, inputs: { weight, x }, outputs }, context) => {
  const { bind, of, program } = context
  const { apart, together } = vectors(context, x, weight)
  const [y, inverse] = program.nodes(
    "SimplifiedLayerNormalization",
    [apart(of(x)), shifted(context, weight, attributes.offset)],
    2,
    { axis: -1, epsilon: { float: attributes.epsilon } }
  )
  bind(outputs.y, together(y!))
  // One number per vector, as the backward pass wants it.
  bind(outputs.inverse, inverse!)
}

export const rmsNormBackward: Lowering<"rmsNormBackward"> = ({ attributes, inputs, outputs }, context) => {
  const { bind, of, program: { constant, node } } = context
  const { apart, together } = vectors(context, inputs.x, inputs.weight)
  const [cotangent, inverse] = [apart(of(inputs.cotangent)), of(inputs.inverse)]
  const weight = shifted(context, inputs.weight, attributes.offset)
  const normed = node("Mul", [apart(of(inputs.x)), inverse])
  const aligned = node("Mul", [cotangent, normed])
  bind(outputs.weight, node("ReduceSum", [aligned, constant("int64", [0])], { keepdims: 0 }))
  const mean = node("ReduceMean", [node("Mul", [aligned, weight]), constant("int64", [-1])], { keepdims: 1 })
  const across = node("Sub", [node("Mul", [cotangent, weight]), node("Mul", [normed, mean])])
  bind(outputs.x, together(node("Mul", [across, inverse])))
}

export const layerNorm: Lowering<"layerNorm"> = ({ attributes, inputs, outputs }, { bind, of, program }) => {
  const [y, mean, inverse] = program.nodes(
    "LayerNormalization",
    [of(inputs.x), of(inputs.weight), of(inputs.bias)],
    3,
    { axis: -1, epsilon: { float: attributes.epsilon } }
  )
  bind(outputs.y, y!)
  bind(outputs.mean, mean!)
  bind(outputs.inverse, inverse!)
}

export const layerNormBackward: Lowering<"layerNormBackward"> = ({ inputs, outputs }, { bind, of, program }) => {
  const { constant, node } = program
  const [cotangent, inverse] = [of(inputs.cotangent), of(inputs.inverse)]
  const mean = (x: string) => node("ReduceMean", [x, constant("int64", [-1])], { keepdims: 1 })
  const normed = node("Mul", [node("Sub", [of(inputs.x), of(inputs.mean)]), inverse])
  const overRows = (x: string) => node("ReduceSum", [x, constant("int64", [0])], { keepdims: 0 })
  bind(outputs.weight, overRows(node("Mul", [cotangent, normed])))
  bind(outputs.bias, overRows(cotangent))
  const g = node("Mul", [cotangent, of(inputs.weight)])
  const along = node("Mul", [normed, mean(node("Mul", [g, normed]))])
  bind(outputs.x, node("Mul", [node("Sub", [node("Sub", [g, mean(g)]), along]), inverse]))
}
