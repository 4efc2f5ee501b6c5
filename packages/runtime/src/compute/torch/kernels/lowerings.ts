// The operations of the computation graph that are one kernel each, where there is one.
import type { OperationName } from "../../Graph.ts"
import type { Fused } from "./Fused.ts"
import { lowerRmsNorm } from "./rmsNorm.ts"
import { lowerRmsNormBackward } from "./rmsNormBackward.ts"
import { lowerRope } from "./rope.ts"
import { lowerSwiglu, lowerSwigluBackward } from "./swiglu.ts"

export const fused: { readonly [N in OperationName]?: Fused<N> } = {
  rmsNorm: lowerRmsNorm,
  rmsNormBackward: lowerRmsNormBackward,
  rope: lowerRope,
  swiglu: lowerSwiglu,
  swigluBackward: lowerSwigluBackward
}
