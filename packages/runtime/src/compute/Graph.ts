// The computation graph: coarse operations over packed rows, as data. A model is written once in it; its gradient is
// another graph of the same kind, and every engine lowers both.
// Leaves out layout: masks, padding and cu_seqlens are derived by each engine from the segment lengths.
// To add an operation: one file in operations/, one line in `Operations` here, one row in each table that then fails to compile.
import type { Add } from "./operations/add.ts"
import type { Attention } from "./operations/attention.ts"
import type { AttentionBackward } from "./operations/attentionBackward.ts"
import type { Columns } from "./operations/columns.ts"
import type { Embedding } from "./operations/embedding.ts"
import type { GatherRows } from "./operations/gatherRows.ts"
import type { Gelu } from "./operations/gelu.ts"
import type { GeluBackward } from "./operations/geluBackward.ts"
import type { LayerNorm } from "./operations/layerNorm.ts"
import type { LayerNormBackward } from "./operations/layerNormBackward.ts"
import type { Mm } from "./operations/mm.ts"
import type { Multiply } from "./operations/multiply.ts"
import type { RmsNorm } from "./operations/rmsNorm.ts"
import type { RmsNormBackward } from "./operations/rmsNormBackward.ts"
import type { Rope } from "./operations/rope.ts"
import type { Scale } from "./operations/scale.ts"
import type { ScatterAddRows } from "./operations/scatterAddRows.ts"
import { shapes } from "./operations/shapes.ts"
import type { SoftCap } from "./operations/softCap.ts"
import type { SpreadColumns } from "./operations/spreadColumns.ts"
import type { SumRows } from "./operations/sumRows.ts"
import type { Swiglu } from "./operations/swiglu.ts"
import type { SwigluBackward } from "./operations/swigluBackward.ts"
import type { TokenLogProb } from "./operations/tokenLogProb.ts"
import type { TokenLogProbBackward } from "./operations/tokenLogProbBackward.ts"

/**
 * A size that is known, or one that each batch brings: T rows, M rows that reach the head, N completion tokens,
 * G groups, S = G * (1 + branches) segments, P positions in the rotary tables (more than the largest position).
 */
export type Dimension = number | "T" | "M" | "N" | "G" | "S" | "P"

/** `float` is whatever the engine computes in; `int` is int32; `opaque` is a saved activation whose form the engine chooses. */
export type DType = "float" | "int" | "opaque"

/** Identity is the object itself; `name` is unique over a graph and its gradient. */
export interface Value {
  readonly name: string
  readonly dtype: DType
  /** Empty for opaque values. */
  readonly shape: ReadonlyArray<Dimension>
}

/** Where the engine takes an input from. */
export type Source =
  /** A tensor of the model, by its Hugging Face name. */
  | { readonly kind: "weight"; readonly tensor: string }
  /** A field of the batch: see Batch.ts. */
  | { readonly kind: "batch"; readonly field: BatchField }
  /** [P, frequencies]: scale * cos or sin of position * frequency, computed in float64; once per engine, for as many positions as it meets. */
  | {
    readonly kind: "table"
    readonly wave: "cos" | "sin"
    readonly frequencies: ReadonlyArray<number>
    readonly scale: number
  }
  /** The gradient that comes in from outside: one coefficient per token. */
  | { readonly kind: "cotangent" }

export type BatchField = "tokens" | "positions" | "segments" | "rows" | "predictor" | "targets"

export interface Input extends Value {
  readonly source: Source
}

/** Every operation: its named inputs, outputs and attributes. Semantics are in the operation's file. */
export interface Operations {
  readonly add: Add
  readonly attention: Attention
  readonly attentionBackward: AttentionBackward
  readonly columns: Columns
  readonly embedding: Embedding
  readonly gatherRows: GatherRows
  readonly gelu: Gelu
  readonly geluBackward: GeluBackward
  readonly layerNorm: LayerNorm
  readonly layerNormBackward: LayerNormBackward
  readonly mm: Mm
  readonly multiply: Multiply
  readonly rmsNorm: RmsNorm
  readonly rmsNormBackward: RmsNormBackward
  readonly rope: Rope
  readonly scale: Scale
  readonly scatterAddRows: ScatterAddRows
  readonly softCap: SoftCap
  readonly spreadColumns: SpreadColumns
  readonly sumRows: SumRows
  readonly swiglu: Swiglu
  readonly swigluBackward: SwigluBackward
  readonly tokenLogProb: TokenLogProb
  readonly tokenLogProbBackward: TokenLogProbBackward
}
export type OperationName = keyof Operations

export interface NodeOf<N extends OperationName> {
  readonly operation: N
  readonly inputs: Operations[N]["inputs"]
  readonly outputs: Operations[N]["outputs"]
  readonly attributes: Operations[N]["attributes"]
}
/** Discriminated by `operation`. */
export type Node = { readonly [N in OperationName]: NodeOf<N> }[OperationName]

export interface Graph {
  /** Weights, batch fields, tables, cotangents. In a gradient's graph the forward graph's saved activations are not among them. */
  readonly inputs: ReadonlyArray<Input>
  /** In an order in which they can run. */
  readonly nodes: ReadonlyArray<Node>
  readonly outputs: ReadonlyArray<Value>
}

/** Of a record of named inputs or outputs. */
export const valuesOf = (record: object): ReadonlyArray<Value> =>
  Object.values(record).filter((value) => value !== undefined)

/** What ends with each node: the values that it is the last to read or make, `kept` apart. */
export const endings = (
  nodes: ReadonlyArray<Node>,
  kept: ReadonlySet<Value>
): ReadonlyMap<Node, ReadonlyArray<Value>> => {
  const last = new Map<Value, Node>()
  for (const node of nodes) {
    for (const value of [...valuesOf(node.inputs), ...valuesOf(node.outputs)]) {
      if (!kept.has(value)) last.set(value, node)
    }
  }
  const ending = new Map<Node, Array<Value>>(nodes.map((node) => [node, []]))
  for (const [value, node] of last) ending.get(node)!.push(value)
  return ending
}

/** The nodes that `wanted` depends on, in order. */
export const living = (nodes: ReadonlyArray<Node>, wanted: Iterable<Value>): ReadonlyArray<Node> => {
  const needed = new Set(wanted)
  const kept: Array<Node> = []
  for (const node of nodes.toReversed()) {
    if (!valuesOf(node.outputs).some((value) => needed.has(value))) continue
    kept.push(node)
    for (const value of valuesOf(node.inputs)) needed.add(value)
  }
  return kept.toReversed()
}

/** Output name -> what it is, given the inputs; throws when they do not fit (a mistake in a model, hence a defect). */
export type ShapeRule<N extends OperationName> = (
  inputs: Operations[N]["inputs"],
  attributes: Operations[N]["attributes"]
) => { readonly [O in keyof Operations[N]["outputs"]]: Pick<Value, "dtype" | "shape"> }

export interface Builder {
  readonly weight: (tensor: string, shape: ReadonlyArray<number>) => Input
  readonly batch: (field: BatchField) => Input
  /** The pair of tables that `rope` takes. */
  readonly tables: (frequencies: ReadonlyArray<number>, scale?: number) => { readonly cos: Input; readonly sin: Input }
  readonly cotangent: (shape: ReadonlyArray<Dimension>) => Input
  /** Appends a node and returns its outputs by name. */
  readonly emit: <N extends OperationName>(
    operation: N,
    inputs: Operations[N]["inputs"],
    attributes: Operations[N]["attributes"]
  ) => Operations[N]["outputs"]
  readonly finish: (outputs: ReadonlyArray<Value>) => Graph
}

const batchShape: Record<BatchField, Dimension> = {
  tokens: "T",
  positions: "T",
  segments: "S",
  rows: "M",
  predictor: "N",
  targets: "N"
}

/** Starts a graph. With `after`, names go on where that graph's end, and its inputs are taken over as they are asked for. */
export const builder = (after?: Graph): Builder => {
  const inputs = new Map<string, Input>()
  const known = new Map((after?.inputs ?? []).map((input) => [input.name, input]))
  const nodes: Array<Node> = []
  const from = after?.nodes.length ?? 0
  const input = (name: string, dtype: DType, shape: ReadonlyArray<Dimension>, source: Source): Input => {
    const value = inputs.get(name) ?? known.get(name) ?? { name, dtype, shape, source }
    inputs.set(name, value)
    return value
  }
  const table = (wave: "cos" | "sin", frequencies: ReadonlyArray<number>, scale: number) => {
    const same = [...known.values(), ...inputs.values()].filter((i) => i.source.kind === "table")
    const equal = same.find(({ source: s }) =>
      s.kind === "table" && s.wave === wave && s.scale === scale && s.frequencies.length === frequencies.length
      && s.frequencies.every((f, i) => f === frequencies[i])
    )
    const name = equal?.name ?? `${wave}${same.length}`
    return input(name, "float", ["P", frequencies.length], { kind: "table", wave, frequencies, scale })
  }
  const emit: Builder["emit"] = (operation, taken, attributes) => {
    const used = Object.values(taken) as Array<Value | undefined>
    for (const value of used) {
      if (value !== undefined && known.get(value.name) === value) inputs.set(value.name, value as Input)
    }
    const rule = shapes[operation] as ShapeRule<typeof operation>
    const name = `${operation}${from + nodes.length}`
    const outputs = Object.fromEntries(
      Object.entries(rule(taken, attributes)).map((
        [output, what]
      ) => [output, { name: `${name}.${output}`, ...what as Pick<Value, "dtype" | "shape"> }])
    ) as unknown as Operations[typeof operation]["outputs"]
    nodes.push({ operation, inputs: taken, outputs, attributes } as unknown as Node)
    return outputs
  }
  return {
    weight: (tensor, shape) => input(tensor, "float", shape, { kind: "weight", tensor }),
    batch: (field) => input(field, "int", [batchShape[field]], { kind: "batch", field }),
    tables: (frequencies, scale = 1) => ({
      cos: table("cos", frequencies, scale),
      sin: table("sin", frequencies, scale)
    }),
    cotangent: (shape) => input("cotangent", "float", shape, { kind: "cotangent" }),
    emit,
    finish: (outputs) => ({ inputs: [...inputs.values()], nodes, outputs })
  }
}
