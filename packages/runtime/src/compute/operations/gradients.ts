// The gradient rule of every operation.
import type { OperationName } from "../Graph.ts"
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
import type { GradientRule } from "./rule.ts"
import * as scale from "./scale.ts"
import * as scatterAddRows from "./scatterAddRows.ts"
import * as softCap from "./softCap.ts"
import * as spreadColumns from "./spreadColumns.ts"
import * as sumRows from "./sumRows.ts"
import * as swiglu from "./swiglu.ts"
import * as swigluBackward from "./swigluBackward.ts"
import * as tokenLogProb from "./tokenLogProb.ts"
import * as tokenLogProbBackward from "./tokenLogProbBackward.ts"

export const gradients: { readonly [N in OperationName]: GradientRule<N> } = {
  add: add.gradient,
  attention: attention.gradient,
  attentionBackward: attentionBackward.gradient,
  columns: columns.gradient,
  embedding: embedding.gradient,
  gatherRows: gatherRows.gradient,
  gelu: gelu.gradient,
  geluBackward: geluBackward.gradient,
  layerNorm: layerNorm.gradient,
  layerNormBackward: layerNormBackward.gradient,
  mm: mm.gradient,
  multiply: multiply.gradient,
  rmsNorm: rmsNorm.gradient,
  rmsNormBackward: rmsNormBackward.gradient,
  rope: rope.gradient,
  scale: scale.gradient,
  scatterAddRows: scatterAddRows.gradient,
  softCap: softCap.gradient,
  spreadColumns: spreadColumns.gradient,
  sumRows: sumRows.gradient,
  swiglu: swiglu.gradient,
  swigluBackward: swigluBackward.gradient,
  tokenLogProb: tokenLogProb.gradient,
  tokenLogProbBackward: tokenLogProbBackward.gradient
}
