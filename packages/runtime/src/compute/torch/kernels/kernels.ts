// Every kernel by its name.
import { splitAdamW, stochasticAdamW } from "./adamW.ts"
import type { Kernel } from "./Kernel.ts"
import { rmsNorm } from "./rmsNorm.ts"
import { rmsNormBackward } from "./rmsNormBackward.ts"
import { rope } from "./rope.ts"
import { logSums, softmaxGradient } from "./softmax.ts"
import { swiglu, swigluBackward } from "./swiglu.ts"

export type KernelName =
  | "logSums"
  | "rmsNorm"
  | "rmsNormBackward"
  | "rope"
  | "softmaxGradient"
  | "splitAdamW"
  | "stochasticAdamW"
  | "swiglu"
  | "swigluBackward"

export const kernels: { readonly [N in KernelName]: Kernel } = {
  logSums,
  rmsNorm,
  rmsNormBackward,
  rope,
  softmaxGradient,
  splitAdamW,
  stochasticAdamW,
  swiglu,
  swigluBackward
}
