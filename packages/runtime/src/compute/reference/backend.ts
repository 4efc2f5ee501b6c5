// The reference engine: float64 in plain TypeScript, exact and slow, the oracle of the others. Takes any number of groups.
// Leaves out fused losses: it always goes through the host.
import { decodeOf } from "../../generation/decode.ts"
import { generate } from "../../generation/generate.ts"
import { logitsOf } from "../../generation/logits.ts"
import { forwardOf } from "../../model/families.ts"
import type { Backend, BackendModule, BackendSession } from "../Backend.ts"
import type { Batch } from "../Batch.ts"
import { planned } from "../footprint.ts"
import type { Gradient } from "../gradient.ts"
import type { Input } from "../Graph.ts"
import { numerics } from "../numerics.ts"
import { adamW, clipFactor, decays, normOf } from "../optimiser.ts"
import { frozenSize, placesOf, trainedOf } from "../places.ts"
import { type Sizes, sizesOf } from "../sizes.ts"
import { recomputing } from "./decoder.ts"
import { type Environment, run, tableOf } from "./run.ts"
import { floats, ints } from "./Tensor.ts"

const open: Backend["open"] = async (model, options) => {
  const forward = forwardOf(model)
  const { graph, logProb, trained = [], weights } = forward
  const { graph: toLogits, logits, vocabulary } = logitsOf(forward)
  const graphs = planned(forward)
  const parameters = Float64Array.from(model.parameters)
  const frozen = frozenSize(model)
  const training = parameters.subarray(frozen)
  const gradients = new Float64Array(training.length)
  const m = Float64Array.from(options.optimiser?.m ?? gradients)
  const v = Float64Array.from(options.optimiser?.v ?? gradients)
  let updates = options.optimiser?.updates ?? 0
  const places = new Map(placesOf(model).map((each) => [each.name, each]))
  const trainedPlaces = placesOf(trainedOf(model))
  const place = (weight: Input) => {
    const found = places.get(weight.name)
    if (found === undefined) throw new Error(`the model has no tensor "${weight.name}"`)
    return found
  }
  const views = weights.map((weight) => {
    const { from, shape, size } = place(weight)
    return [weight, floats(shape, parameters.subarray(from, from + size))] as const
  })
  let saved: { readonly environment: Environment; readonly sizes: Sizes; readonly backwards: Gradient } | undefined

  const feed = (batch: Batch, sizes: Sizes): Environment => {
    const environment: Environment = new Map(views)
    for (const input of graph.inputs) {
      if (input.source.kind === "batch") environment.set(input, ints(batch[input.source.field]))
      if (input.source.kind === "table") {
        environment.set(input, floats([sizes.P, input.source.frequencies.length], tableOf(input.source, sizes.P)))
      }
    }
    return environment
  }
  const session: BackendSession = {
    score: async (batch) => {
      const sizes = sizesOf(batch)
      const environment = feed(batch, sizes)
      run(graph, environment, graph.outputs, sizes)
      return environment.get(logProb)!.data
    },
    generate: async (prompts, options) => {
      const decoder = recomputing(vocabulary, (batch) => {
        const sizes = sizesOf(batch)
        const environment = feed(batch, sizes)
        run(toLogits, environment, [logits], sizes)
        return environment.get(logits)!.data
      })
      return generate(decoder, prompts, options, await decodeOf(options))
    },
    forward: async (batch, { recompute = false } = {}) => {
      const backwards = recompute ? graphs.sparing : graphs.plain
      const sizes = sizesOf(batch)
      const environment = feed(batch, sizes)
      run(graph, environment, [logProb, ...backwards.saved], sizes)
      saved = { environment, sizes, backwards }
      return environment.get(logProb)!.data.slice()
    },
    backward: async (coefficients) => {
      if (saved === undefined) throw new Error("backward without a forward before it")
      const { backwards, environment, sizes } = saved
      saved = undefined
      for (const input of backwards.graph.inputs) {
        if (input.source.kind === "cotangent") environment.set(input, floats([sizes.N], coefficients))
      }
      run(backwards.graph, environment, backwards.graph.outputs, sizes)
      trained.forEach((weight, i) => {
        const { data } = environment.get(backwards.graph.outputs[i]!)!
        const from = place(weight).from - frozen
        for (let j = 0; j < data.length; j++) gradients[from + j] = gradients[from + j]! + data[j]!
      })
    },
    update: async (update) => {
      const gradNorm = normOf(gradients)
      const factor = clipFactor(gradNorm, update)
      updates += 1
      for (const { from, shape, size } of trainedPlaces) {
        const settings = decays(shape) ? update : { ...update, weightDecay: 0 }
        adamW(training, gradients, { m, v }, settings, { factor, from, to: from + size, updates })
      }
      gradients.fill(0)
      return { gradNorm, clipped: factor < 1 }
    },
    weights: async () => ({ ...model, parameters: parameters.slice() }),
    optimiser: async () => ({ m: m.slice(), v: v.slice(), updates }),
    gradients: async () => gradients.slice(),
    zeroGradients: async () => {
      saved = undefined
      gradients.fill(0)
    },
    close: async () => {
      saved = undefined
    }
  }
  return session
}

export const start: BackendModule["start"] = async () => ({
  numerics: numerics.reference,
  open,
  close: async () => {}
})
