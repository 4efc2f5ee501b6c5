// The reference kernel of every operation: plain float64, the oracle that engines are tested against.
import type { OperationName } from "../Graph.ts"
import type { Kernel } from "../reference/Tensor.ts"
import * as add from "./add.ts"
import * as attention from "./attention.ts"
import * as attentionBackward from "./attentionBackward.ts"
import * as columns from "./columns.ts"
import * as embedding from "./embedding.ts"
import * as gatherRows from "./gatherRows.ts"
import * as gelu from "./gelu.ts"
import * as geluBackward from "./geluBackward.ts"
import * as layerNorm from "./layerNorm.ts"
import * as layerNormBackward from "./layerNormBackward.ts"
import * as mm from "./mm.ts"
import * as multiply from "./multiply.ts"
import * as rmsNorm from "./rmsNorm.ts"
import * as rmsNormBackward from "./rmsNormBackward.ts"
import * as rope from "./rope.ts"
import * as scale from "./scale.ts"
import * as scatterAddRows from "./scatterAddRows.ts"
import * as softCap from "./softCap.ts"
import * as spreadColumns from "./spreadColumns.ts"
import * as sumRows from "./sumRows.ts"
import * as swiglu from "./swiglu.ts"
import * as swigluBackward from "./swigluBackward.ts"
import * as tokenLogProb from "./tokenLogProb.ts"
import * as tokenLogProbBackward from "./tokenLogProbBackward.ts"

export const kernels: { readonly [N in OperationName]: Kernel<N> } = {
  add: add.kernel,
  attention: attention.kernel,
  attentionBackward: attentionBackward.kernel,
  columns: columns.kernel,
  embedding: embedding.kernel,
  gatherRows: gatherRows.kernel,
  gelu: gelu.kernel,
  geluBackward: geluBackward.kernel,
  layerNorm: layerNorm.kernel,
  layerNormBackward: layerNormBackward.kernel,
  mm: mm.kernel,
  multiply: multiply.kernel,
  rmsNorm: rmsNorm.kernel,
  rmsNormBackward: rmsNormBackward.kernel,
  rope: rope.kernel,
  scale: scale.kernel,
  scatterAddRows: scatterAddRows.kernel,
  softCap: softCap.kernel,
  spreadColumns: spreadColumns.kernel,
  sumRows: sumRows.kernel,
  swiglu: swiglu.kernel,
  swigluBackward: swigluBackward.kernel,
  tokenLogProb: tokenLogProb.kernel,
  tokenLogProbBackward: tokenLogProbBackward.kernel
}
