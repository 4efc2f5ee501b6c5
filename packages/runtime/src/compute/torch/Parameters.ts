// A model's weights, gradients and Adam's moments, each flat, with views per tensor of the model.
import type { Precision } from "@penchant/dsl/Recipe"
import type { ModelState, OptimiserState, Update } from "../Engine.ts"
import type { Value } from "../Graph.ts"
import { decays } from "../optimiser.ts"
import { placesOf, trainedOf } from "../places.ts"
import { floats, type Tensor } from "./Lowering.ts"
import { fullMaster, splitMaster } from "./master.ts"
import type { Handle } from "./native.ts"
import { stochasticMaster } from "./rounding.ts"
import type { Torch } from "./Torch.ts"

export interface Parameters {
  readonly weights: ReadonlyMap<Value, Tensor>
  /** Views of the flat gradient, by weight that is trained. */
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
  { optimiser, precision = "float32", roundingSeed }: {
    readonly optimiser?: OptimiserState | undefined
    readonly precision?: Precision | undefined
    readonly roundingSeed?: number | undefined
  }
): Parameters => {
  const trained = trainedOf(model)
  const frozen = model.parameters.length - trained.parameters.length
  const count = trained.parameters.length
  const places = placesOf(trained)
  const owned: Array<Handle> = []
  const hold = (make: () => Handle): Handle => {
    const made = torch.scope((keep) => keep(make()))
    owned.push(made)
    return made
  }
  try {
    const layout = roundingSeed === undefined ? masters[precision] : stochasticMaster(roundingSeed)
    const master = layout(torch, hold, trained.parameters)
    const still = placesOf(model).slice(0, model.frozen ?? 0).map(({ from, name, shape, size }) => {
      const upload = () => torch.upload(model.parameters.subarray(from, from + size), shape)
      const { bfloat16 } = torch.native.dtypes
      return [
        name,
        floats(hold(() => precision === "bfloat16" ? torch.cast(upload(), bfloat16) : upload()), shape)
      ] as const
    })
    const m = hold(() => optimiser === undefined ? torch.zeros([count]) : torch.upload(optimiser.m, [count]))
    const v = hold(() => optimiser === undefined ? torch.zeros([count]) : torch.upload(optimiser.v, [count]))
    const viewsOf = (whole: Handle) =>
      places.map(({ from, shape, size }) =>
        hold(() => torch.call("view", torch.call("narrow", whole, 0, from, size), shape))
      )
    const views = { weights: viewsOf(master.weights), gradients: viewsOf(master.gradients) }
    const indices = new Map(places.map(({ name }, i) => [name, i]))
    const others = new Map(still)
    const weightOf = (value: Value): Tensor => {
      const at = indices.get(value.name)
      const found = at === undefined ? others.get(value.name) : floats(views.weights[at]!, places[at]!.shape)
      if (found === undefined) throw new Error(`the model has no tensor "${value.name}"`)
      return found
    }
    const decayed = places.filter(({ shape }) => decays(shape))
    const spared = places.filter(({ shape }) => !decays(shape))
    let updates = optimiser?.updates ?? 0
    const zeroGradients = () => torch.native.fill(master.gradients, 0)
    return {
      weights: new Map(wanted.map((value) => [value, weightOf(value)])),
      gradients: new Map(wanted.flatMap((value) => {
        const at = indices.get(value.name)
        return at === undefined ? [] : [[value, views.gradients[at]!]]
      })),
      update: ({ maxGradNorm, weightDecay, ...settings }) =>
        torch.scope(() => {
          const number = (value: number) => torch.upload(Float32Array.of(value), [1])
          // the norm stays on the device until the updates that it scales are under way
          const norm = torch.call("sqrt", torch.call("reshape", master.squares(), [1]))
          const over = () => torch.call("mul.Tensor", torch.add(norm, number(1e-6)), number(1 / maxGradNorm))
          const gradScale = maxGradNorm === 0 ? undefined : torch.call("maximum", over(), number(1))
          updates += 1
          const adam = { ...settings, m, v, step: number(updates), updates, gradScale }
          if (decayed.length > 0) master.update(decayed, { ...adam, weightDecay })
          if (spared.length > 0) master.update(spared, { ...adam, weightDecay: 0 })
          zeroGradients()
          const gradNorm = torch.download(norm, 1)[0]!
          return { gradNorm, clipped: maxGradNorm > 0 && gradNorm + 1e-6 > maxGradNorm }
        }),
      zeroGradients,
      read: (what) => {
        if (what === "gradients") return torch.download(master.gradients, count)
        if (frozen === 0) return master.read()
        const whole = Float32Array.from(model.parameters)
        whole.set(master.read(), frozen)
        return whole
      },
      optimiser: () => ({ m: torch.download(m, count), v: torch.download(v, count), updates }),
      close: () => torch.free(owned)
    }
  } catch (error) {
    torch.free(owned)
    throw error
  }
}
