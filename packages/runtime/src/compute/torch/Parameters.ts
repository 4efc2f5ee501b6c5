// A model's weights, gradients and Adam's moments, each flat, with views per tensor of the model.
import type { Precision } from "@penchant/dsl/Recipe"
import type { ModelState, OptimiserState, Update } from "../Engine.ts"
import { decays } from "../optimiser.ts"
import { placesOf, trainedOf } from "../places.ts"
import { floats, type Tensor } from "./Lowering.ts"
import { fullMaster, splitMaster } from "./master.ts"
import type { Handle } from "./native.ts"
import { stochasticMaster } from "./rounding.ts"
import type { Torch } from "./Torch.ts"

export interface Parameters {
  readonly weights: ReadonlyMap<string, Tensor>
  /** Views of the flat gradient of each lane, by name of what is trained. */
  readonly gradients: ReadonlyArray<ReadonlyMap<string, Handle>>
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
  lanes: number,
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
    /** Gradients of all lanes but the first, [lanes - 1, count]. */
    const others = lanes === 1 ? undefined : hold(() => torch.zeros([lanes - 1, count]))
    /** Adds the other lanes' sums to the first's, in their order, and leaves zeros. */
    const gather = (): void => {
      if (others === undefined) return
      torch.scope(() => {
        const sum = torch.call("view", master.gradients, [1, count])
        const ones = torch.upload(new Float32Array(lanes - 1).fill(1), [1, lanes - 1])
        torch.native.addmm(sum, sum, ones, others, 1)
        torch.native.fill(others, 0)
      })
    }
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
    const viewsOf = (whole: Handle, first = 0) =>
      places.map(({ from, name, shape }) => {
        const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1))
        return [name, hold(() => torch.strided(whole, shape, strides, first + from))] as const
      })
    const weightViews = viewsOf(master.weights).map(([name, view], i) =>
      [name, floats(view, places[i]!.shape)] as const
    )
    const decayed = places.filter(({ shape }) => decays(shape))
    const spared = places.filter(({ shape }) => !decays(shape))
    let updates = optimiser?.updates ?? 0
    const zeroGradients = () => {
      for (const each of others === undefined ? [master.gradients] : [master.gradients, others]) {
        torch.native.fill(each, 0)
      }
    }
    return {
      weights: new Map([...still, ...weightViews]),
      gradients: Array.from(
        { length: lanes },
        (_, lane) => new Map(lane === 0 ? viewsOf(master.gradients) : viewsOf(others!, (lane - 1) * count))
      ),
      update: ({ maxGradNorm, weightDecay, ...settings }) =>
        torch.scope(() => {
          const number = (value: number) => torch.upload(Float32Array.of(value), [1])
          gather()
          // the norm stays on the device until the updates that it scales are under way
          const norm = torch.call("sqrt", torch.call("reshape", master.squares(), [1]))
          const over = () => torch.call("mul.Tensor", torch.add(norm, number(1e-6)), number(1 / maxGradNorm))
          const gradScale = maxGradNorm === 0 ? undefined : torch.call("maximum", over(), number(1))
          updates += 1
          const adam = { ...settings, m, v, step: number(updates), updates, gradScale }
          if (decayed.length > 0) master.update(decayed, { ...adam, weightDecay })
          if (spared.length > 0) master.update(spared, { ...adam, weightDecay: 0 })
          torch.native.fill(master.gradients, 0)
          const gradNorm = torch.download(norm, 1)[0]!
          return { gradNorm, clipped: maxGradNorm > 0 && gradNorm + 1e-6 > maxGradNorm }
        }),
      zeroGradients,
      read: (what) => {
        if (what === "gradients") {
          gather()
          return torch.download(master.gradients, count)
        }
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
