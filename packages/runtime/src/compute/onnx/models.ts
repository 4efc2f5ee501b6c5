// The ONNX models of a network: one that scores, and one that trains, which runs forward and backward in one go and adds
// the gradients to running sums. Coefficients of the loss come from outside or are computed inside (objective.ts).
import type { Forward } from "../../model/Family.ts"
import type { FusedLoss } from "../Engine.ts"
import { gradient, madeBy } from "../gradient.ts"
import { living, type Node, type Value, valuesOf } from "../Graph.ts"
import { recomputed } from "../recompute.ts"
import { contextOf, lower } from "./Lowering.ts"
import { lowerObjective } from "./objective.ts"
import { type Model, program } from "./Program.ts"
import type { Layout } from "./tiles.ts"

/** Rows that the host adds to the gradient of a table: onnxruntime has no sum over repeated rows that is fast and never races. */
export interface HostSum {
  readonly tensor: string
  /** An output of the model, [rows, width]. */
  readonly output: string
  /** Which field of the batch says where each row goes. */
  readonly field: "tokens" | "positions"
}
export interface TrainingModel extends Model {
  readonly hostSums: ReadonlyArray<HostSum>
}

export const logProbName = "logProb"
export const sumName = (tensor: string): string => `sum ${tensor}`
export const gradientName = (tensor: string): string => `gradient ${tensor}`
const addendName = (tensor: string): string => `rows ${tensor}`

export const scoringModel = (forward: Forward, layout: Layout): Model => {
  const { graph, logProb } = forward
  const building = program()
  const context = contextOf(building, layout)
  lower(graph.nodes, context)
  building.output(logProbName, context.of(logProb), "float32")
  return building.finish()
}

/** With `recompute`, blocks are computed again on the way back, each once the gradients before it are made. */
export const trainingModel = (
  forward: Forward,
  layout: Layout,
  { loss, recompute = false }: { readonly loss?: FusedLoss | undefined; readonly recompute?: boolean } = {}
): TrainingModel => {
  const { graph, logProb } = forward
  const trained = forward.trained ?? forward.weights
  const plain = gradient(graph, logProb, trained)
  const { after, graph: backward } = recompute ? recomputed(graph, plain) : { ...plain, after: new Map<Node, Value>() }
  const maker = new Map<Value, Node>()
  for (const node of backward.nodes) {
    for (const y of Object.values(node.outputs) as Array<Value>) maker.set(y, node)
  }

  const hostSums: Array<HostSum & { readonly addend: Value }> = []
  const gradients = trained.flatMap(({ name }, i) => {
    let value: Value | undefined = backward.outputs[i]!
    const node = maker.get(value)
    if (node?.operation === "scatterAddRows" && !node.attributes.unique) {
      const field = node.inputs.rows.name
      if (field !== "tokens" && field !== "positions") throw new Error(`${name}: rows by ${field} have no host sum`)
      hostSums.push({ tensor: name, output: addendName(name), field, addend: node.inputs.x })
      value = node.inputs.accumulator
    }
    return value === undefined ? [] : [{ name, value }]
  })

  const building = program()
  const sums = new Map(gradients.map(({ name, value }) => [value, building.input(sumName(name), "float32")]))
  const context = contextOf(building, layout, sums)
  lower(graph.nodes, context)
  for (const input of backward.inputs) {
    if (input.source.kind !== "cotangent" || loss === undefined) continue
    context.bind(input, lowerObjective(building, context.of(logProb), loss))
  }
  const made = madeBy(graph)
  const held = new Set<Value>()
  const wanted = [...gradients.map(({ value }) => value), ...hostSums.map(({ addend }) => addend)]
  for (const node of living(backward.nodes, wanted)) {
    const ready = after.get(node)
    for (const value of ready === undefined ? [] : valuesOf(node.inputs)) {
      if (!made.has(value) || held.has(value)) continue
      held.add(value)
      context.bind(value, building.after([context.of(ready!)], context.of(value), -1, value.shape[1] as number))
    }
    lower([node], context)
  }

  building.output(logProbName, context.of(logProb), "float32")
  for (const { name, value } of gradients) {
    const rest = context.takeSum(value)
    const made = context.of(value)
    building.output(gradientName(name), rest === undefined ? made : building.node("Add", [made, rest]), "float32")
  }
  for (const { addend, output } of hostSums) building.output(output, context.of(addend), "float32")
  return { ...building.finish(), hostSums: hostSums.map(({ field, output, tensor }) => ({ field, output, tensor })) }
}
