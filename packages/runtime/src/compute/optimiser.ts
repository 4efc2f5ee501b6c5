// Clipping by global norm and AdamW over flat vectors, as torch has them: torch.nn.utils.clip_grad_norm_, torch.optim.AdamW.
// Decay is decoupled (https://arxiv.org/abs/1711.05101) and spares norms and biases, which are the tensors of one dimension.
import type { OptimiserState, Update } from "./Engine.ts"

type Vector = Float32Array | Float64Array

/** L2 norm over all gradients, summed in order in float64. */
export const normOf = (gradients: Vector): number => {
  let squares = 0
  for (let i = 0; i < gradients.length; i++) squares += gradients[i]! ** 2
  return Math.sqrt(squares)
}

/** min(1, maxGradNorm / (norm + 1e-6)); 1 when clipping is off. */
export const clipFactor = (norm: number, { maxGradNorm }: Update): number =>
  maxGradNorm === 0 ? 1 : Math.min(1, maxGradNorm / (norm + 1e-6))

/** Whether weight decay applies to a tensor. A tied embedding is one tensor, so it decays once. */
export const decays = (shape: ReadonlyArray<number>): boolean => shape.length > 1

/**
 * Update number `updates` (from 1) of parameters [from, to), in place. `factor` is the clipping applied to the gradients.
 */
export const adamW = (
  parameters: Vector,
  gradients: Vector,
  { m, v }: Pick<OptimiserState, "m" | "v">,
  { beta1, beta2, epsilon, learningRate, weightDecay }: Update,
  { factor, from, to, updates }: {
    readonly factor: number
    readonly from: number
    readonly to: number
    readonly updates: number
  }
): void => {
  const step = learningRate / (1 - beta1 ** updates)
  const correction = Math.sqrt(1 - beta2 ** updates)
  const shrink = 1 - learningRate * weightDecay
  for (let i = from; i < to; i++) {
    const g = gradients[i]! * factor
    const first = beta1 * m[i]! + (1 - beta1) * g
    const second = beta2 * v[i]! + (1 - beta2) * g * g
    m[i] = first
    v[i] = second
    parameters[i] = parameters[i]! * shrink - step * first / (Math.sqrt(second) / correction + epsilon)
  }
}
