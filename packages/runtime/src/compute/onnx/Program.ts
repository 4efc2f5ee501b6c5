// An ONNX model under construction: nodes over named values, constants stored once, written out as a ModelProto.
// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
// Leaves out shapes on purpose. With symbolic shapes onnxruntime compares every new tensor with every buffer that is free,
// which is quadratic in the nodes (1.0 s of 1.1 s for 2,000 nodes); without them its arena hands out warm memory instead.
import { type Message, message } from "./protobuf.ts"

export type ElementType = "float32" | "float64" | "int32" | "int64"
const elementCode: Record<ElementType, number> = { float32: 1, int32: 6, int64: 7, float64: 11 }

/** Integers and lists of them, strings, and floats marked as such: ONNX tells them apart, numbers do not. */
export type Attribute = number | string | ReadonlyArray<number> | { readonly float: number }
export type Attributes = Readonly<Record<string, Attribute>>

/** Operators that onnxruntime adds to ONNX. */
export type ContribOperator = "FusedMatMul" | "QuickGelu" | "RotaryEmbedding"
const contrib: ReadonlySet<string> = new Set<ContribOperator>(["FusedMatMul", "QuickGelu", "RotaryEmbedding"])

export interface Port {
  readonly name: string
  readonly type: ElementType
}

export interface Model {
  readonly bytes: Uint8Array
  readonly inputs: ReadonlyArray<Port>
  readonly outputs: ReadonlyArray<Port>
  readonly nodes: number
}

/** Values are names. "" stands for an optional input that is left out. */
export interface Program {
  /** A node with one output. */
  readonly node: (operator: string, inputs: ReadonlyArray<string>, attributes?: Attributes) => string
  /** A node with `count` outputs. */
  readonly nodes: (
    operator: string,
    inputs: ReadonlyArray<string>,
    count: number,
    attributes?: Attributes
  ) => ReadonlyArray<string>
  /** The same value for the same name. */
  readonly input: (name: string, type: ElementType) => string
  /** Gives `value` a name outside. */
  readonly output: (name: string, value: string, type: ElementType) => void
  readonly constant: (type: ElementType, values: ReadonlyArray<number>, shape?: ReadonlyArray<number>) => string
  /** To sizes of which one may be -1. They are an input, so that onnxruntime cannot infer shapes from them (see above). */
  readonly reshape: (x: string, ...sizes: ReadonlyArray<number>) => string
  /**
   * `x`, in the shape `sizes`, once `before` is made, which has as many dimensions: onnxruntime orders nodes depth first from
   * the outputs, and this keeps those together that read the same values while these are in the cache.
   */
  readonly after: (before: ReadonlyArray<string>, x: string, ...sizes: ReadonlyArray<number>) => string
  /** Computes something once per key. */
  readonly once: <A>(key: string, make: () => A) => A
  readonly finish: () => Model
}

interface Node {
  readonly operator: string
  readonly inputs: ReadonlyArray<string>
  readonly outputs: ReadonlyArray<string>
  readonly attributes: Attributes
}
interface Output extends Port {
  readonly value: string
}
interface Constant extends Port {
  readonly shape: ReadonlyArray<number>
  readonly bytes: Uint8Array
}

const bytesOf: Record<ElementType, (values: ReadonlyArray<number>) => ArrayBufferView> = {
  float32: (values) => Float32Array.from(values),
  float64: (values) => Float64Array.from(values),
  int32: (values) => Int32Array.from(values),
  int64: (values) => BigInt64Array.from(values, BigInt)
}

/** Inputs that hold the sizes of a `reshape`, the same in every run. */
const sizesName = (sizes: ReadonlyArray<number>): string => `sizes ${sizes.join(" ")}`
export const sizesOf = (name: string): ReadonlyArray<number> | undefined =>
  name.startsWith("sizes ") ? name.split(" ").slice(1).map(Number) : undefined

const irVersion = 10
const opset = 21

export const program = (): Program => {
  const nodes: Array<Node> = []
  const inputs = new Map<string, Port>()
  const outputs: Array<Output> = []
  const constants = new Map<string, Constant>()
  const made = new Map<string, unknown>()
  let count = 0
  const add: Program["nodes"] = (operator, taken, results, attributes = {}) => {
    const names = Array.from({ length: results }, () => `v${count++}`)
    nodes.push({ operator, inputs: taken, outputs: names, attributes })
    return names
  }
  const input: Program["input"] = (name, type) => {
    inputs.set(name, { name, type })
    return name
  }
  return {
    nodes: add,
    node: (operator, taken, attributes) => add(operator, taken, 1, attributes)[0]!,
    input,
    reshape: (x, ...sizes) => add("Reshape", [x, input(sizesName(sizes), "int64")], 1)[0]!,
    output: (name, value, type) => void outputs.push({ name, value, type }),
    after: (before, x, ...sizes) => {
      let target = input(sizesName(sizes), "int64")
      for (const each of before) {
        const shape = add("Shape", [each], 1)[0]!
        target = add("Add", [target, add("Sub", [shape, shape], 1)[0]!], 1)[0]!
      }
      return add("Reshape", [x, target], 1)[0]!
    },
    constant: (type, values, shape = [values.length]) => {
      const name = `${type} [${shape}] ${values}`
      if (!constants.has(name)) {
        const view = bytesOf[type](values)
        constants.set(name, {
          name,
          type,
          shape,
          bytes: new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
        })
      }
      return name
    },
    once: (key, make) => {
      if (!made.has(key)) made.set(key, make())
      return made.get(key) as ReturnType<typeof make>
    },
    finish: () => {
      const { named, renamed } = nameOutputs(nodes, outputs)
      const ports = [...inputs.values()]
      return {
        bytes: encode(named, [...constants.values()], ports, outputs, renamed),
        inputs: ports,
        outputs: outputs.map(({ name, type }) => ({ name, type })),
        nodes: named.length
      }
    }
  }
}

/** A value that a node makes takes the name it has outside; one that is an input, or has such a name already, is copied. */
const nameOutputs = (nodes: ReadonlyArray<Node>, outputs: ReadonlyArray<Output>) => {
  const made = new Set(nodes.flatMap((node) => node.outputs))
  const renamed = new Map<string, string>()
  const copies: Array<Node> = []
  for (const { name, value } of outputs) {
    if (made.has(value) && !renamed.has(value)) renamed.set(value, name)
    else copies.push({ operator: "Identity", inputs: [value], outputs: [name], attributes: {} })
  }
  return { named: [...nodes, ...copies], renamed }
}

const encodeAttribute = (m: Message, name: string, value: Attribute): void => {
  const [integer, float, string, integers] = [2, 1, 3, 7]
  m.string(1, name)
  if (typeof value === "number") m.int(3, value).int(20, integer!)
  else if (typeof value === "string") m.string(4, value).int(20, string!)
  else if ("float" in value) m.float(2, value.float).int(20, float!)
  else {
    for (const each of value) m.int(8, each)
    m.int(20, integers!)
  }
}

const encodeNode = (
  m: Message,
  { attributes, inputs, operator, outputs }: Node,
  renamed: ReadonlyMap<string, string>
): void => {
  for (const name of inputs) m.string(1, renamed.get(name) ?? name)
  for (const name of outputs) m.string(2, renamed.get(name) ?? name)
  m.string(4, operator)
  if (contrib.has(operator)) m.string(7, "com.microsoft")
  for (const [name, value] of Object.entries(attributes)) m.message(5, (a) => encodeAttribute(a, name, value))
}

const encodePort = (m: Message, { name, type }: Port): void => {
  m.string(1, name).message(2, (t) => t.message(1, (tensor) => tensor.int(1, elementCode[type])))
}

const encode = (
  nodes: ReadonlyArray<Node>,
  constants: ReadonlyArray<Constant>,
  inputs: ReadonlyArray<Port>,
  outputs: ReadonlyArray<Port>,
  renamed: ReadonlyMap<string, string>
): Uint8Array =>
  message()
    .int(1, irVersion)
    .message(7, (graph) => {
      for (const node of nodes) graph.message(1, (m) => encodeNode(m, node, renamed))
      graph.string(2, "penchant")
      for (const { bytes, name, shape, type } of constants) {
        graph.message(5, (m) => {
          for (const size of shape) m.int(1, size)
          m.int(2, elementCode[type]).string(8, name).bytes(9, bytes)
        })
      }
      for (const port of inputs) graph.message(11, (m) => encodePort(m, port))
      for (const port of outputs) graph.message(12, (m) => encodePort(m, port))
    })
    .message(8, (m) => m.string(1, "").int(2, opset))
    .message(8, (m) => m.string(1, "com.microsoft").int(2, 1))
    .finish()
