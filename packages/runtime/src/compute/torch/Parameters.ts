// A model's weights, gradients and Adam's moments, each flat, with views per tensor of the model.
import type { Precision } from "@penchant/dsl/Recipe"
import type { ModelState, OptimiserState, Update } from "../Engine.ts"
import type { Value } from "../Graph.ts"
import { decays } from "../optimiser.ts"
import { placesOf } from "../places.ts"
import { floats, type Tensor } from "./Lowering.ts"
import { fullMaster, splitMaster } from "./master.ts"
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

const masters = { float32: fullMaster, bfloat16: splitMaster } as const

export const parametersOf = (
  torch: Torch,
  model: ModelState,
  wanted: ReadonlyArray<Value>,
  { optimiser, precision = "float32" }: {
    readonly optimiser?: OptimiserState | undefined
    readonly precision?: Precision | undefined
  }
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
    const master = masters[precision](torch, hold, model.parameters)
    const m = hold(() => optimiser === undefined ? torch.zeros([count]) : torch.upload(optimiser.m, [count]))
    const v = hold(() => optimiser === undefined ? torch.zeros([count]) : torch.upload(optimiser.v, [count]))
    const viewsOf = (whole: Handle) =>
      places.map(({ from, shape, size }) =>
        hold(() => torch.call("view", torch.call("narrow", whole, 0, from, size), shape))
      )
    const views = { weights: viewsOf(master.weights), gradients: viewsOf(master.gradients) }
    const placeOf = (value: Value): number => {
      const at = places.findIndex(({ name }) => name === value.name)
      if (at === -1) throw new Error(`the model has no tensor "${value.name}"`)
      return at
    }
    const decayed = places.filter(({ shape }) => decays(shape))
    const spared = places.filter(({ shape }) => !decays(shape))
    let updates = optimiser?.updates ?? 0
    const zeroGradients = () => torch.native.fill(master.gradients, 0)
    return {
      weights: new Map(wanted.map((value) => {
        const i = placeOf(value)
        return [value, floats(views.weights[i]!, places[i]!.shape)]
      })),
      gradients: new Map(wanted.map((value) => [value, views.gradients[placeOf(value)]!])),
      update: ({ maxGradNorm, weightDecay, ...settings }) =>
        torch.scope(() => {
          const number = (value: number) => torch.upload(Float32Array.of(value), [1])
          // the norm stays on the device until the updates that it scales are under way
          const norm = torch.call("sqrt", torch.call("reshape", master.squares(), [1]))
          const over = () => torch.call("mul.Tensor", torch.add(norm, number(1e-6)), number(1 / maxGradNorm))
          const gradScale = maxGradNorm === 0 ? undefined : torch.call("maximum", over(), number(1))
          updates += 1
          const adam = { ...settings, m, v, step: number(updates), gradScale }
          if (decayed.length > 0) master.update(decayed, { ...adam, weightDecay })
          if (spared.length > 0) master.update(spared, { ...adam, weightDecay: 0 })
          zeroGradients()
          const gradNorm = torch.download(norm, 1)[0]!
          return { gradNorm, clipped: maxGradNorm > 0 && gradNorm + 1e-6 > maxGradNorm }
        }),
      zeroGradients,
      read: (what) => what === "weights" ? master.read() : torch.download(master.gradients, count),
      optimiser: () => ({ m: torch.download(m, count), v: torch.download(v, count), updates }),
      close: () => torch.free(owned)
    }
  } catch (error) {
    torch.free(owned)
    throw error
  }
}
