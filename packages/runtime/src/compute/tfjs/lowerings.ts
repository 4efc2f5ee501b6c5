// Every operation of the computation graph as operations of TensorFlow.js. Rows are gathered and scattered by gatherND and
// scatterND, which copy whole rows; the wasm kernel of `gather` takes 40 times as long.
import type { Tensor as TfTensor } from "@tensorflow/tfjs-core"
import type { OperationName } from "../Graph.ts"
import { gatherInts } from "../operations/gatherRows.ts"
import { sizeOf } from "../sizes.ts"
import { gelu, geluBackward, swiglu, swigluBackward } from "./activations.ts"
import { attention, attentionBackward } from "./attention.ts"
import { tokenLogProb, tokenLogProbBackward } from "./head.ts"
import { capped, floats, ints, type Lowering, of } from "./Lowering.ts"
import { layerNorm, layerNormBackward, rmsNorm, rmsNormBackward } from "./norms.ts"
import { rope } from "./rope.ts"

const add: Lowering<"add"> = ({ a, b }, _, { tf }) => ({ y: floats(tf.add(of(a), of(b))) })

const embedding: Lowering<"embedding"> = ({ ids, table }, _, { index, tf }) => {
  const bad = ids.ints.find((id) => id < 0 || id >= table.shape[0]!)
  if (bad !== undefined) throw new Error(`token ${bad} is outside the vocabulary of ${table.shape[0]}`)
  return { y: floats(tf.gatherND(of(table), index(ids.ints))) }
}

const gatherRows: Lowering<"gatherRows"> = ({ rows, x }, _, { index, tf }) => ({
  y: x.shape.length === 1 ? ints(gatherInts(x.ints, rows.ints)) : floats(tf.gatherND(of(x), index(rows.ints)))
})

const mm: Lowering<"mm"> = ({ a, accumulator, b }, { transA, transB }, { tf }) => {
  const product = tf.matMul(of(a), of(b), transA, transB)
  return { y: floats(accumulator === undefined ? product : tf.add(product, of(accumulator))) }
}

const columns: Lowering<"columns"> = ({ x }, { from, period, to }, { tf }) => {
  const [rows, width] = x.shape as [number, number]
  const parts = width / period
  const cut = tf.slice(tf.reshape(of(x), [rows * parts, period]), [0, from], [rows * parts, to - from])
  return { y: floats(tf.reshape(cut, [rows, parts * (to - from)])) }
}

const spreadColumns: Lowering<"spreadColumns"> = ({ accumulator, x }, { from, period, to }, { tf }) => {
  const [rows, width] = x.shape as [number, number]
  const parts = width / (to - from)
  const spread = tf.pad(tf.reshape(of(x), [rows * parts, to - from]), [[0, 0], [from, period - to]])
  const y = tf.reshape(spread, [rows, parts * period])
  return { y: floats(accumulator === undefined ? y : tf.add(y, of(accumulator))) }
}

const scale: Lowering<"scale"> = ({ x }, { factor }, { tf }) => ({ y: floats(tf.mul(of(x), factor)) })

const softCap: Lowering<"softCap"> = ({ x }, { cap }, { tf }) => ({ y: floats(capped(of(x), cap, tf)) })

const multiply: Lowering<"multiply"> = ({ a, b }, _, { tf }) => ({ y: floats(tf.mul(of(a), of(b))) })

const scatterAddRows: Lowering<"scatterAddRows"> = ({ accumulator, rows, x }, { count }, { index, sizes, tf }) => {
  const sum: TfTensor = tf.scatterND(index(rows.ints), of(x), [sizeOf(count, sizes), x.shape[1]!])
  return { y: floats(accumulator === undefined ? sum : tf.add(sum, of(accumulator))) }
}

const sumRows: Lowering<"sumRows"> = ({ x }, _, { tf }) => ({ y: floats(tf.sum(of(x), 0)) })

export const lowerings: { readonly [N in OperationName]: Lowering<N> } = {
  add,
  attention,
  attentionBackward,
  columns,
  embedding,
  gatherRows,
  gelu,
  geluBackward,
  layerNorm,
  layerNormBackward,
  mm,
  multiply,
  rmsNorm,
  rmsNormBackward,
  rope,
  scale,
  scatterAddRows,
  softCap,
  spreadColumns,
  sumRows,
  swiglu,
  swigluBackward,
  tokenLogProb,
  tokenLogProbBackward
}
