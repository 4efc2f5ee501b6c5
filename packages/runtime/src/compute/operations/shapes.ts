// The shape rule of every operation.
import type { OperationName, ShapeRule } from "../Graph.ts"
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

export const shapes: { readonly [N in OperationName]: ShapeRule<N> } = {
  add: add.shape,
  attention: attention.shape,
  attentionBackward: attentionBackward.shape,
  embedding: embedding.shape,
  gatherRows: gatherRows.shape,
  mm: mm.shape,
  rmsNorm: rmsNorm.shape,
  rmsNormBackward: rmsNormBackward.shape,
  rope: rope.shape,
  scatterAddRows: scatterAddRows.shape,
  sumRows: sumRows.shape,
  swiglu: swiglu.shape,
  swigluBackward: swigluBackward.shape,
  tokenLogProb: tokenLogProb.shape,
  tokenLogProbBackward: tokenLogProbBackward.shape
}
