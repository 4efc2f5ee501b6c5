// The matrix product of the wasm backend, in place of its own. XNNPACK's is reached there for one product of matrices that
// are not transposed, at 20 GFLOP/s; everything else goes through a scalar loop at 1.7. Here transpositions are copies, and a
// batch is XNNPACK once per matrix, on views of the operands' memory.
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm"
import type { TensorInfo } from "@tensorflow/tfjs-core"
import { guardHeap, moduleOf } from "./heap.ts"
import type { Tf } from "./Lowering.ts"

interface Product {
  readonly inputs: { readonly a: TensorInfo; readonly b: TensorInfo }
  readonly attrs: { readonly transposeA: boolean; readonly transposeB: boolean }
}

const bytesOf = (shape: ReadonlyArray<number>): Uint8Array => new Uint8Array(Int32Array.from(shape).buffer)

export const registerProducts = (tf: Tf): void => {
  const backend = tf.backend() as BackendWasm
  const { kernelFunc: transpose } = tf.getKernel("Transpose", "wasm")
  const multiply = moduleOf(backend).cwrap("BatchMatMul", null, [
    "number",
    "array",
    "number",
    "number",
    "array",
    "number",
    "number",
    "number",
    "number"
  ])
  const idOf = ({ dataId }: TensorInfo): number => backend.dataIdMap.get(dataId).id
  const turned = (x: TensorInfo): TensorInfo => {
    const last = x.shape.length - 1
    const perm = x.shape.map((_, i) => (i === last ? last - 1 : i === last - 1 ? last : i))
    return transpose({ inputs: { x }, backend, attrs: { perm } }) as TensorInfo
  }
  /** Names for views, that no tensor has: those of three that are never freed. */
  const [viewA, viewB, viewOut] = [0, 1, 2].map(() => idOf(backend.makeOutput([1], "float32"))) as [
    number,
    number,
    number
  ]
  const { disposeData, registerTensor } = backend.wasm.tfjs
  const heap = guardHeap(backend)
  const { util } = tf

  /** a [..., m, k], b [..., k, n] -> out [..., m, n] */
  const into = (out: TensorInfo, a: TensorInfo, b: TensorInfo): void => {
    const [m, k] = a.shape.slice(-2) as [number, number]
    const n = b.shape.at(-1)!
    const count = util.sizeFromShape(a.shape.slice(0, -2))
    const shapeA = bytesOf([1, m, k])
    const shapeB = bytesOf([1, k, n])
    // XNNPACK packs the second operand, eight columns at a time.
    heap.need(4 * (k + 1) * (n + 8))
    // By its own name it is packed once for as long as it lives: weights.
    if (count === 1) return multiply(idOf(a), shapeA, 3, idOf(b), shapeB, 3, 0, 0, idOf(out))
    const [fromA, fromB, to] = [a, b, out].map(({ dataId }) => backend.getMemoryOffset(dataId)) as [
      number,
      number,
      number
    ]
    const view = (id: number, size: number, at: number) => {
      disposeData(id)
      registerTensor(id, size, at)
    }
    for (let i = 0; i < count; i++) {
      view(viewA, m * k, fromA + 4 * i * m * k)
      view(viewB, k * n, fromB + 4 * i * k * n)
      view(viewOut, m * n, to + 4 * i * m * n)
      multiply(viewA, shapeA, 3, viewB, shapeB, 3, 0, 0, viewOut)
    }
  }
  const product = ({ attrs: { transposeA, transposeB }, inputs }: Product): TensorInfo => {
    const made: Array<TensorInfo> = []
    const keep = (x: TensorInfo): TensorInfo => {
      made.push(x)
      return x
    }
    try {
      const a = transposeA ? keep(turned(inputs.a)) : inputs.a
      const b = transposeB ? keep(turned(inputs.b)) : inputs.b
      const out = keep(backend.makeOutput([...a.shape.slice(0, -1), b.shape.at(-1)!], "float32"))
      into(out, a, b)
      made.pop()
      return out
    } finally {
      for (const { dataId } of made) backend.disposeData(dataId)
    }
  }
  tf.unregisterKernel("BatchMatMul", "wasm")
  tf.registerKernel({
    kernelName: "BatchMatMul",
    backendName: "wasm",
    kernelFunc: (call) => product(call as unknown as Product)
  })
}
