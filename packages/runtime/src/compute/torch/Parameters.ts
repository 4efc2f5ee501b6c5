// A model's weights, gradients and Adam's moments, each one flat tensor with views per tensor of the model.
import type { ModelState, OptimiserState, Update } from "../Engine.ts"
import type { Value } from "../Graph.ts"
import { clipFactor, decays } from "../optimiser.ts"
import { placesOf } from "../places.ts"
import { floats, type Tensor } from "./Lowering.ts"
import type { Handle } from "./native.ts"
import type { Torch } from "./Torch.ts"

export interface Parameters {
  readonly weights: ReadonlyMap<Value, Tensor>
  /** Views of the flat gradient, by weight. */
  readonly gradients: ReadonlyMap<Value, Handle>
  readonly update: (update: Update) => { readonly gradNorm: number; readonly clipped: boolean }
  readonly zeroGradients: () => void
  readonly read: (what: "weights" | "gradients") => Float32Array
  readonly optimiser: () => OptimiserState
  readonly close: () => void
}

export const parametersOf = (
  torch: Torch,
  model: ModelState,
  wanted: ReadonlyArray<Value>,
  optimiser: OptimiserState | undefined
): Parameters => {
  const count = model.parameters.length
  const places = placesOf(model)
  const owned: Array<Handle> = []
  const hold = (make: () => Handle): Handle => {
    const made = torch.scope((keep) => keep(make()))
    owned.push(made)
    return made
  }
  try {
    const flat = {
      weights: hold(() => torch.upload(model.parameters, [count])),
      gradients: hold(() => torch.zeros([count])),
      m: hold(() => optimiser === undefined ? torch.zeros([count]) : torch.upload(optimiser.m, [count])),
      v: hold(() => optimiser === undefined ? torch.zeros([count]) : torch.upload(optimiser.v, [count]))
    }
    const viewsOf = (whole: Handle) =>
      places.map(({ from, shape, size }) =>
        hold(() => torch.call("view", torch.call("narrow", whole, 0, from, size), shape))
      )
    const views = {
      weights: viewsOf(flat.weights),
      gradients: viewsOf(flat.gradients),
      m: viewsOf(flat.m),
      v: viewsOf(flat.v)
    }
    const placeOf = (value: Value): number => {
      const at = places.findIndex(({ name }) => name === value.name)
      if (at === -1) throw new Error(`the model has no tensor "${value.name}"`)
      return at
    }
    let updates = optimiser?.updates ?? 0
    const adamW = (chosen: ReadonlyArray<number>, settings: Update, factor: number): void =>
      torch.scope(() => {
        if (chosen.length === 0) return
        const { beta1, beta2, epsilon, learningRate, weightDecay } = settings
        const of = (all: ReadonlyArray<Handle>) => chosen.map((i) => all[i]!)
        const step = torch.upload(Float32Array.of(updates), [1])
        torch.all("_fused_adamw_", [
          of(views.weights),
          of(views.gradients),
          of(views.m),
          of(views.v),
          [],
          chosen.map(() => step)
        ], {
          lr: learningRate,
          beta1,
          beta2,
          weight_decay: weightDecay,
          eps: epsilon,
          amsgrad: false,
          maximize: false,
          // gradients are divided by it
          grad_scale: factor === 1 ? undefined : torch.upload(Float32Array.of(1 / factor), [1])
        })
      })
    const indices = places.map((_, i) => i)
    return {
      weights: new Map(wanted.map((value) => {
        const i = placeOf(value)
        return [value, floats(views.weights[i]!, places[i]!.shape)]
      })),
      gradients: new Map(wanted.map((value) => [value, views.gradients[placeOf(value)]!])),
      update: (update) => {
        const squares = torch.scope(() => torch.download(torch.call("dot", flat.gradients, flat.gradients), 1)[0]!)
        const gradNorm = Math.sqrt(squares)
        const factor = clipFactor(gradNorm, update)
        updates += 1
        adamW(indices.filter((i) => decays(places[i]!.shape)), update, factor)
        adamW(indices.filter((i) => !decays(places[i]!.shape)), { ...update, weightDecay: 0 }, factor)
        torch.native.fill(flat.gradients, 0)
        return { gradNorm, clipped: factor < 1 }
      },
      zeroGradients: () => torch.native.fill(flat.gradients, 0),
      read: (what) => torch.download(flat[what], count),
      optimiser: () => ({ m: torch.download(flat.m, count), v: torch.download(flat.v, count), updates }),
      close: () => torch.free(owned)
    }
  } catch (error) {
    torch.free(owned)
    throw error
  }
}
