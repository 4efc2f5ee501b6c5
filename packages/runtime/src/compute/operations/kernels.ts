// The reference kernel of every operation: plain float64, the oracle that engines are tested against.
import type { OperationName } from "../Graph.ts"
import type { Kernel } from "../reference/Tensor.ts"
import * as add from "./add.ts"
import * as attention from "./attention.ts"
import * as attentionBackward from "./attentionBackward.ts"
import * as embedding from "./embedding.ts"
import * as gatherRows from "./gatherRows.ts"
import * as mm from "./mm.ts"
import * as rmsNorm from "./rmsNorm.ts"
import * as rmsNormBackward from "./rmsNormBackward.ts"
import * as rope from "./rope.ts"
import * as scatterAddRows from "./scatterAddRows.ts"
import * as sumRows from "./sumRows.ts"
import * as swiglu from "./swiglu.ts"
import * as swigluBackward from "./swigluBackward.ts"
import * as tokenLogProb from "./tokenLogProb.ts"
import * as tokenLogProbBackward from "./tokenLogProbBackward.ts"

export const kernels: { readonly [N in OperationName]: Kernel<N> } = {
  add: add.kernel,
  attention: attention.kernel,
  attentionBackward: attentionBackward.kernel,
  embedding: embedding.kernel,
  gatherRows: gatherRows.kernel,
  mm: mm.kernel,
  rmsNorm: rmsNorm.kernel,
  rmsNormBackward: rmsNormBackward.kernel,
  rope: rope.kernel,
  scatterAddRows: scatterAddRows.kernel,
  sumRows: sumRows.kernel,
  swiglu: swiglu.kernel,
  swigluBackward: swigluBackward.kernel,
  tokenLogProb: tokenLogProb.kernel,
  tokenLogProbBackward: tokenLogProbBackward.kernel
}
