// Gelu and its gradient as ONNX nodes; onnxruntime's own kernels forward, compositions backward.
import type { Lowering } from "./Lowering.ts"
import type { Program } from "./Program.ts"

export const gelu: Lowering<"gelu"> = ({ attributes, inputs: { x }, outputs: { y } }, { bind, of, program }) =>
  bind(y, program.node("Gelu", [of(x)], { approximate: attributes.approximation }))

const number = ({ constant }: Program, value: number): string => constant("float32", [value], [])

/** cdf(x) + x density(x), the density exp(-x² / 2) / sqrt(2 pi). */
const exactSlope = (program: Program, x: string): string => {
  const { node } = program
  const erf = node("Erf", [node("Mul", [x, number(program, Math.SQRT1_2)])])
  const cdf = node("Mul", [node("Add", [erf, number(program, 1)]), number(program, 0.5)])
  const bell = node("Exp", [node("Mul", [node("Mul", [x, x]), number(program, -0.5)])])
  return node("Add", [cdf, node("Mul", [x, node("Mul", [bell, number(program, 1 / Math.sqrt(2 * Math.PI))])])])
}

/** (1 + t) / 2 + x (1 - t²) u' / 2, with t = tanh(u), u = sqrt(2 / pi) (x + 0.044715 x³). */
const tanhSlope = (program: Program, x: string): string => {
  const { node } = program
  const of = (value: number) => number(program, value)
  const square = node("Mul", [x, x])
  const root = Math.sqrt(2 / Math.PI)
  const u = node("Mul", [x, node("Add", [node("Mul", [square, of(0.044715 * root)]), of(root)])])
  const t = node("Tanh", [u])
  const slope = node("Add", [node("Mul", [square, of(1.5 * 0.044715 * root)]), of(0.5 * root)])
  const bend = node("Sub", [of(1), node("Mul", [t, t])])
  const half = node("Add", [node("Mul", [t, of(0.5)]), of(0.5)])
  return node("Add", [half, node("Mul", [node("Mul", [x, bend]), slope])])
}

export const geluBackward: Lowering<"geluBackward"> = ({ attributes, inputs, outputs }, { bind, of, program }) => {
  const slope = attributes.approximation === "tanh" ? tanhSlope : exactSlope
  bind(outputs.y, program.node("Mul", [of(inputs.cotangent), slope(program, of(inputs.x))]))
}
